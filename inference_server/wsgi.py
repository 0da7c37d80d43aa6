"""The server as a plain WSGI application, for engines that call it on a thread per request."""

from __future__ import annotations

import io
import logging
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from inference_server.application import Application
from inference_server.config_file import load_settings
from inference_server.errors import STUCK, BodyTooLargeError, RequestError
from inference_server.replies import Reply, message_reply
from inference_server.scoreboard import Scoreboard
from inference_server.transaction import ClientGoneError

log = logging.getLogger("azmlinfsrv")

StartResponse = Callable[..., Any]

PENDING_CHUNKS = 16
"""Chunks of a stream that may wait for the engine before `run()` is held up."""


class WsgiServer:
    """Answers WSGI calls; `run()` is called on scoring threads of its own.

    Args:
        application: The server of this process, not loaded yet.
    """

    def __init__(self, application: Application) -> None:
        self._application = application
        self._failure: BaseException | None = None
        self._loaded = threading.Event()
        threading.Thread(target=self._serve, name="scoring-0", daemon=True).start()
        self._loaded.wait()
        if self._failure is not None:
            raise self._failure

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterator[bytes]:
        """Answer one request; blocks until the answer starts."""
        try:
            body = read_body(environ, self._application.settings.max_body_size)
        except RequestError as error:
            reply = message_reply(error.status, error.message)
            start_response(reply.status, reply.headers)
            return iter([reply.body])
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        exchange = WaitingExchange()
        self._application.begin(environ, body, exchange)
        return exchange.relay(start_response, environ["REQUEST_METHOD"])

    def _serve(self) -> None:
        try:
            self._application.load()
        except Exception as error:  # noqa: BLE001 - raised again on the thread that waits
            self._failure = error
            self._loaded.set()
            return
        self._application.serve(on_ready=self._loaded.set)


def read_body(environ: dict[str, Any], limit: int) -> bytes:
    """The whole body of a WSGI request.

    Raises:
        RequestError: It is larger than `limit` bytes, or it ended early.
    """
    source, declared = environ["wsgi.input"], environ.get("CONTENT_LENGTH")
    length = int(declared) if declared else limit + 1
    if declared and length > limit:
        raise BodyTooLargeError(limit)
    # Without a length, only an engine that ends the input itself can be read from.
    ends = declared or environ.get("wsgi.input_terminated")
    body: bytes = source.read(length) if ends else b""
    if len(body) > limit:
        raise BodyTooLargeError(limit)
    if declared and len(body) < length:
        message = "The connection was closed before the request's body was complete."
        raise RequestError(HTTPStatus.BAD_REQUEST, message)
    return body


class WaitingExchange:
    """The way back to a thread that waits for it."""

    def __init__(self) -> None:
        self._items: queue.Queue[Reply | bytes | None] = queue.Queue(PENDING_CHUNKS)
        self._gone = threading.Event()
        self._complete = False

    def send(self, reply: Reply) -> None:
        """Hand a whole answer over."""
        self._items.put(reply)

    def start(self, reply: Reply) -> None:
        """Hand status and headers of a stream over."""
        self._items.put(reply)

    def write(self, chunk: bytes) -> None:
        """Hand a chunk over, waiting while the client is slow.

        Raises:
            ClientGoneError: The engine has closed the answer.
        """
        while not self._gone.is_set():
            with suppress(queue.Full):
                self._items.put(chunk, timeout=0.2)
                return
        raise ClientGoneError("the engine closed the answer")

    def finish(self, *, complete: bool) -> None:
        """End a stream."""
        self._complete = complete
        if not self._gone.is_set():
            self._items.put(None)

    def relay(self, start_response: StartResponse, method: str) -> Iterator[bytes]:
        """The WSGI side: waits for the answer, then gives its body."""
        reply = self._items.get()
        if not isinstance(reply, Reply):
            raise ClientGoneError("the answer was ended before it started")
        start_response(reply.status, reply.headers)
        if reply.stream is None:
            return iter([reply.body] if method != "HEAD" else [])
        return self._chunks()

    def _chunks(self) -> Iterator[bytes]:
        try:
            while isinstance(item := self._items.get(), bytes):
                yield item
            if not self._complete:
                raise ClientGoneError("the stream broke off")
        finally:
            self._gone.set()


def create_wsgi_server() -> WsgiServer:
    """The server for the settings of the environment, with its script loaded.

    Raises:
        SettingsError: A setting cannot be used.
        StartError: The scoring script cannot be served.
    """
    settings = load_settings(os.environ)
    scoreboard = Scoreboard()
    return WsgiServer(Application(settings, scoreboard, scoreboard.take_row(), give_up=leave))


def leave() -> None:
    """End this process now, so that its master replaces it."""
    sys.stdout.flush()
    os._exit(STUCK)
