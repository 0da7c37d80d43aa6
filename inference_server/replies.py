"""Answers as values, before an HTTP engine puts them on the wire."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

from werkzeug.http import HTTP_STATUS_CODES

from inference_server.failures import Failure

RUN_FAILED = "x-ms-run-function-failed"
RUN_MILLISECONDS = "x-ms-run-fn-exec-ms"

INTERNAL_ERROR = "An unexpected internal error occurred. Check the logs for more info."
SCRIPT_ERROR = "An unexpected error occurred in scoring script. Check the logs for more info."

Headers = list[tuple[str, str]]


@dataclass(slots=True)
class Reply:
    """One answer.

    Attributes:
        status: Code and reason, such as `200 OK`.
        headers: In the order they are sent; engines add framing headers of their own.
        body: The whole body, unless there is a stream.
        stream: Chunks of the body, produced by user code while they are sent.
        failure: What went wrong, for the log; not sent.
        from_script: The script chose the headers, so some of the server's may be among them.
    """

    status: str
    headers: Headers
    body: bytes = b""
    stream: Iterator[bytes] | AsyncIterator[bytes] | None = None
    failure: Failure | None = field(default=None, repr=False)
    from_script: bool = False

    @property
    def code(self) -> int:
        """The status code."""
        return int(self.status[:3])

    def has(self, name: str) -> bool:
        """Whether a header of this (lower-case) name is there."""
        return any(key.lower() == name for key, _ in self.headers)


# Werkzeug's phrases, as the reference sends them: those of `http` changed with Python 3.13.
_STATUS_LINES = {code: f"{code} {phrase.upper()}" for code, phrase in HTTP_STATUS_CODES.items()}


def status_line(code: int) -> str:
    """`404 NOT FOUND`: reason phrases are upper case, unknown codes get UNKNOWN."""
    return _STATUS_LINES.get(code) or f"{code} UNKNOWN"


_JSON = ("Content-Type", "application/json")
_RUN_FAILED = (RUN_FAILED, "True")
_RUN_DID_NOT_FAIL = (RUN_FAILED, "False")


def json_reply(body: bytes, status: int = 200, *, run_failed: bool = False) -> Reply:
    """An answer whose body is JSON text."""
    length = ("Content-Length", str(len(body)))
    failed = _RUN_FAILED if run_failed else _RUN_DID_NOT_FAIL
    return Reply(status_line(status), [_JSON, length, failed], body)


def message_reply(
    status: int,
    message: str,
    *,
    run_failed: bool = False,
    failure: Failure | None = None,
    show_details: bool = False,
) -> Reply:
    """An answer `{"message": …}`, with the failure's place under `error` when details are shown."""
    content: dict[str, Any] = {"message": message}
    if failure is not None and show_details:
        content["error"] = failure.as_json()
    reply = json_reply(json.dumps(content).encode(), status, run_failed=run_failed)
    reply.failure = failure
    return reply
