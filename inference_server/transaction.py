"""One HTTP request from arrival to the last byte of its answer: ids, headers, log line, counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from inference_server.cors import CorsPolicy
from inference_server.replies import Reply
from inference_server.request_context import RequestLabels
from inference_server.request_ids import RequestIds
from inference_server.request_log import RequestLog
from inference_server.scoreboard import Row, Stage

SERVER_VERSION = "x-ms-server-version"

LOGGED_PATHS = frozenset({"/score", "/swagger.json"})
PROBE_PATHS = frozenset({"/livez", "/readyz", "/metrics"})


class ClientGoneError(ConnectionError):
    """The client closed its connection, or stopped reading, before the answer was complete."""


class Exchange(Protocol):
    """A request's way back to its client, provided by the HTTP engine."""

    def send(self, reply: Reply) -> None:
        """Send a whole answer; never blocks."""

    def start(self, reply: Reply) -> None:
        """Send status and headers of a streamed answer."""

    def write(self, chunk: bytes) -> None:
        """Send a chunk, waiting while the client is slow.

        Raises:
            ClientGoneError: There is nobody to send to.
        """

    def finish(self, *, complete: bool) -> None:
        """End a streamed answer; an incomplete one is cut off, so that the client can tell."""


@dataclass(frozen=True)
class AnswerPolicy:
    """What all answers of a server have in common; no version header is sent when it is None."""

    version_header: tuple[str, str] | None
    cors: CorsPolicy | None
    row: Row
    request_log: RequestLog


OnDone = Callable[["Transaction", Reply, float], None]
"""Called with a request, its answer and the seconds between them."""


class Transaction:
    """A request and its way back.

    Args:
        environ: The WSGI environment.
        exchange: Where the answer goes.
        policy: Headers and counts common to all answers.
        on_done: Told of the answer.
    """

    __slots__ = (
        "_on_done", "call", "environ", "exchange", "ids", "labels", "path", "policy", "started",
    )  # fmt: skip

    def __init__(
        self,
        environ: dict[str, Any],
        exchange: Exchange,
        policy: AnswerPolicy,
        on_done: OnDone | None = None,
    ) -> None:
        self.environ = environ
        self.exchange = exchange
        self.policy = policy
        self.ids: RequestIds | None = None
        self.labels: RequestLabels | None = None
        self.started = time.perf_counter()
        self.call: object = None
        self._on_done = on_done
        self.path: str = environ["PATH_INFO"]
        if self.path.startswith("//"):
            self.path = environ["PATH_INFO"] = "/" + self.path.lstrip("/")

    def identify(self, ids: RequestIds | None) -> None:
        """Set the ids that go into the answer and, as labels, into log lines."""
        self.ids = ids
        self.labels = ids.labels if ids is not None else None

    def send(self, reply: Reply) -> None:
        """Send a whole answer, and account for it."""
        self._decorate(reply)
        self.exchange.send(reply)
        self.account(reply, str(len(reply.body)))

    def start_stream(self, reply: Reply) -> None:
        """Send status and headers of a streamed answer."""
        self._decorate(reply)
        self.exchange.start(reply)

    def account(self, reply: Reply, length: str) -> None:
        """Log and count an answer that is on its way; `length` is N/A for a stream."""
        seconds = time.perf_counter() - self.started
        row, path, code = self.policy.row, self.path, reply.code
        row.count_status(code)
        if path == "/score":
            row.observe(Stage.TOTAL, seconds)
        if path not in PROBE_PATHS and self._gets_lines(reply):
            self.policy.request_log.add(
                self.environ, self.labels, code, seconds, length,
                is_ours=path in LOGGED_PATHS and self.ids is not None,
            )  # fmt: skip
        if self._on_done is not None:
            self._on_done(self, reply, seconds)
        # The call refers to this request in turn: apart, both are freed now, not by the collector.
        self.call = None

    def _gets_lines(self, reply: Reply) -> bool:
        """Every request does, but for those refused by the thousand because the queue is full."""
        is_refusal = reply.code == HTTPStatus.TOO_MANY_REQUESTS and not reply.from_script
        return not is_refusal or self.policy.request_log.refusals.takes()

    def _decorate(self, reply: Reply) -> None:
        headers = reply.headers
        if self.policy.cors is not None:
            self.policy.cors.add_to(headers, self.environ)
        version = self.policy.version_header
        if version is not None and not (reply.from_script and reply.has(SERVER_VERSION)):
            headers.append(version)
        if self.ids is not None:
            self.ids.add_to(headers, replace=reply.from_script)
