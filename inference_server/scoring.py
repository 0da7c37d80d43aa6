"""One scoring request, from its body to its answer: bind, run, encode.

Nothing here knows of threads, queues or sockets. The three steps are separate so that a synchronous
`run()` is called and an asynchronous one awaited around the same code.
"""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from http import HTTPStatus
from typing import Any

import flask
from werkzeug.http import HTTP_STATUS_CODES

from inference_server.binding import Binding, ScoringInput
from inference_server.encoding import UnserialisableError, encode_json
from inference_server.errors import InvalidInputError, RequestError
from inference_server.failures import Failure, Frame, describe
from inference_server.replies import (
    INTERNAL_ERROR,
    RUN_FAILED,
    RUN_MILLISECONDS,
    SCRIPT_ERROR,
    Headers,
    Reply,
    json_reply,
    message_reply,
)
from inference_server.scoring_script import ScoringScript
from inference_server.settings import Settings
from inference_server.streaming import SteppedIterator, first_item, stream_reply

SERVER_ERRORS = 500

PLAIN_TYPES = frozenset({dict, list, str, int, float, bool, tuple, type(None)})
"""Types of results that cannot be a response, a stream or something to await: most of them are."""


class OverdueError(TimeoutError):
    """Raised inside `run()` by the server when its deadline has passed."""


class InvalidResponseError(ValueError):
    """A response object of the script cannot be sent."""


class Scoring:
    """Answers scoring requests with one loaded script."""

    def __init__(self, script: ScoringScript, binding: Binding, settings: Settings) -> None:
        self.script = script
        self.binding = binding
        self._run = script.run
        self._show_details = settings.error_details == "full"
        self._compat = settings.compat
        self._nan_as_null = settings.nan == "null"
        self._timeout_message = f"Scoring timeout after {_milliseconds(settings)} ms"

    def answer(self, request: ScoringInput, call: Callable[..., Any]) -> tuple[Reply, float]:
        """The answer to a request, and the seconds spent in `run()`.

        Args:
            request: What the client sent.
            call: Calls a function with the arguments; the caller's place for deadlines.
        """
        spent = 0.0
        try:
            arguments = self.binding.arguments(request)
            started = time.perf_counter()
            try:
                result = call(self._invoke, arguments)
            finally:
                spent = time.perf_counter() - started
            return self.reply(result, request, spent), spent
        except BaseException as error:  # noqa: BLE001 - user code can raise anything
            return self.error_reply(error), spent

    def _invoke(self, arguments: dict[str, Any]) -> Any:
        result = self._run(**arguments)
        if type(result) in PLAIN_TYPES:
            return result
        if inspect.iscoroutine(result) or isinstance(result, AsyncIterator):
            _refuse_unawaited(result)
        return first_item(result) if isinstance(result, Iterator) else result

    async def answer_async(self, request: ScoringInput) -> tuple[Reply, float]:
        """`answer` for a `run` that is a coroutine function or an asynchronous generator."""
        spent = 0.0
        try:
            arguments = self.binding.arguments(request)
            started = time.perf_counter()
            try:
                result = self._run(**arguments)
                if inspect.isawaitable(result):
                    result = await result
                if isinstance(result, AsyncIterator):
                    result = await first_item(result)
                elif isinstance(result, Iterator):
                    result = first_item(result)
            finally:
                spent = time.perf_counter() - started
            reply = self.reply(result, request, spent)
            if isinstance(reply.stream, Iterator):
                reply.stream = SteppedIterator(reply.stream)
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 - as above
            return self.error_reply(error), spent
        return reply, spent

    def reply(self, result: Any, request: ScoringInput, spent: float) -> Reply:
        """The answer for what `run()` returned.

        Raises:
            UnserialisableError: It has no JSON form.
            InvalidResponseError: It is a response that cannot be sent.
        """
        if type(result) in PLAIN_TYPES:
            reply = self._json(result)
        elif isinstance(result, flask.Response):
            reply = _reply_of_response(result, request)
        elif isinstance(result, Iterator | AsyncIterator):
            reply = stream_reply(result, request.environ, nan_as_null=self._nan_as_null)
        else:
            reply = self._json(result)
        if not reply.from_script or not reply.has(RUN_MILLISECONDS):
            reply.headers.append((RUN_MILLISECONDS, f"{spent * 1000:.3f}"))
        return reply

    def _json(self, result: Any) -> Reply:
        value = {} if result is None else result
        return json_reply(encode_json(value, nan_as_null=self._nan_as_null))

    def error_reply(self, error: BaseException) -> Reply:  # noqa: PLR0911 - one per outcome
        """The answer for whatever went wrong on the way from the body to the answer."""
        fallback = self.script.run_code
        if isinstance(error, InvalidInputError) and not self._compat:
            failure = describe(error.__cause__ or error, fallback=fallback, path=error.path)
            failure = Failure(error.error_type, error.message, failure.frames, path=error.path)
            return self._failed(HTTPStatus.UNPROCESSABLE_ENTITY, error.message, failure, run=False)
        if isinstance(error, RequestError) and not isinstance(error, InvalidInputError):
            return message_reply(error.status, error.message)
        if isinstance(error, UnserialisableError):
            failure = describe(error, fallback=fallback, path=error.path)
            return self._failed(500, INTERNAL_ERROR, failure, run=not self._compat)
        if isinstance(error, OverdueError):
            return self.overdue_reply(())
        if isinstance(error, TimeoutError) and self._compat:
            return self._failed(500, self._timeout_message, describe(error, fallback=fallback))
        if isinstance(error, InvalidResponseError):
            return self._failed(500, INTERNAL_ERROR, describe(error, fallback=fallback))
        return self._failed(500, SCRIPT_ERROR, describe(error, fallback=fallback))

    def overdue_reply(self, frames: tuple[Frame, ...]) -> Reply:
        """The answer at the deadline, with the place where `run()` was by then."""
        failure = Failure(
            "ScoringTimeout",
            f"{self._timeout_message}; run() was still busy",
            frames,
            hint="raise --scoring_timeout_ms (SCORING_TIMEOUT_MS), or make run() faster",
        )
        status = 500 if self._compat else HTTPStatus.GATEWAY_TIMEOUT
        return self._failed(status, self._timeout_message, failure)

    def _failed(self, status: int, message: str, failure: Failure, *, run: bool = True) -> Reply:
        return message_reply(
            status, message, run_failed=run, failure=failure, show_details=self._show_details
        )


def _milliseconds(settings: Settings) -> int:
    deadline = settings.deadline_s
    return round(deadline * 1000) if deadline is not None else settings.scoring_timeout_ms


def _reply_of_response(response: flask.Response, request: ScoringInput) -> Reply:
    """A `flask.Response` of the script as a reply, checked so that every engine can send it."""
    try:
        return _reply_of_sound_response(response, request)
    except TypeError as error:
        if describe(error).frames:
            raise
        raise InvalidResponseError(
            f"the body of a response must be str, bytes or an iterable of those: {error}"
        ) from error


def _reply_of_sound_response(response: flask.Response, request: ScoringInput) -> Reply:
    status, line = response.status_code, _status_line_of(response)
    headers = list(response.get_wsgi_headers(request.environ).items())
    for name, value in headers:
        _check_header(name, value)
    if status >= SERVER_ERRORS:
        headers = [(n, "True" if n.lower() == RUN_FAILED else v) for n, v in headers]
        if not any(n.lower() == RUN_FAILED for n, _ in headers):
            headers.append((RUN_FAILED, "True"))
    chunks = response.get_app_iter(request.environ)
    if response.is_streamed and request.method != "HEAD":
        stream = first_item(_bytes_only(iter(chunks), response))
        return Reply(line, _with_sendable_length(headers), stream=stream, from_script=True)
    body = b"".join(chunks)
    if request.method != "HEAD":
        headers = [(n, v) for n, v in headers if n.lower() != "content-length"]
        if status not in (204, 304):
            headers.insert(0, ("Content-Length", str(len(body))))
    return Reply(line, headers, body, from_script=True)


def _status_line_of(response: flask.Response) -> str:
    status = response.status_code
    if not 200 <= status <= 999:  # noqa: PLR2004 - codes of final answers
        raise InvalidResponseError(f"status must be from 200 to 999, not {status}")
    reason = response.status.partition(" ")[2] or HTTP_STATUS_CODES.get(status, "UNKNOWN").upper()
    if not _FIELD_TEXT.fullmatch(reason):
        raise InvalidResponseError(f"the reason phrase cannot be sent: {reason!r}")
    return f"{status} {reason}"


def _bytes_only(chunks: Iterator[Any], response: flask.Response) -> Iterator[bytes]:
    try:
        for chunk in chunks:
            is_binary = isinstance(chunk, bytes | bytearray | memoryview)
            yield bytes(chunk) if is_binary else str(chunk).encode()
    finally:
        response.close()


def _with_sendable_length(headers: Headers) -> Headers:
    """Without `Content-Length`, unless there is exactly one, and it is a number."""
    lengths = [value for name, value in headers if name.lower() == "content-length"]
    if len(lengths) == 1 and lengths[0].isascii() and lengths[0].isdigit():
        return headers
    return [(name, value) for name, value in headers if name.lower() != "content-length"]


def _refuse_unawaited(result: Any) -> None:
    if inspect.iscoroutine(result):
        result.close()
    raise InvalidResponseError(
        f"run() returned an object of type `{type(result).__name__}` that nothing awaits: "
        "declare run() with `async def`"
    )


_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""Name of a header: a token of RFC 9110, section 5.6.2."""

_FIELD_TEXT = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
"""Value of a header, or a reason phrase: RFC 9110, section 5.5."""


def _check_header(name: str, value: str) -> None:
    if not _TOKEN.fullmatch(name):
        raise InvalidResponseError(f"{name!r} cannot be the name of a header")
    if not _FIELD_TEXT.fullmatch(value):
        raise InvalidResponseError(
            f"header {name!r} has characters that HTTP cannot carry: {value!r}"
        )
