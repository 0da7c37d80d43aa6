"""The server as a plain WSGI application, for engines that call it on a thread per request."""

from __future__ import annotations

import io
import logging
import os
import queue
import sys
import threading
from _thread import allocate_lock
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from inference_server.application import Application
from inference_server.config_file import load_settings
from inference_server.errors import STUCK, BodyTooLargeError, RequestError
from inference_server.performer import ScoringCall
from inference_server.replies import INTERNAL_ERROR, Reply, message_reply
from inference_server.scoreboard import Scoreboard
from inference_server.script_thread import ScriptThread
from inference_server.transaction import ClientGoneError

log = logging.getLogger("azmlinfsrv")

StartResponse = Callable[..., Any]

PENDING_CHUNKS = 16
"""Chunks of a stream that may wait for the engine before `run()` is held up."""


class WsgiServer:
    """Answers WSGI calls.

    Args:
        application: The server of this process.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request; blocks until the answer starts."""
        try:
            body = read_body(environ, self._application.settings.max_body_size)
        except RequestError as error:
            reply = message_reply(error.status, error.message)
            start_response(reply.status, reply.headers)
            return [reply.body]
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        exchange = WaitingExchange()
        try:
            self._application.begin(environ, body, exchange)
            return exchange.relay(start_response, environ["REQUEST_METHOD"])
        except Exception:
            log.exception("A request was given up because of an internal error")
            reply = message_reply(HTTPStatus.INTERNAL_SERVER_ERROR, INTERNAL_ERROR)
            start_response(reply.status, reply.headers)
            return [reply.body]


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

    __slots__ = ("_answered", "_reply", "_stream", "_work")

    def __init__(self) -> None:
        self._answered = allocate_lock()
        self._answered.acquire()
        self._reply: Reply | None = None
        self._stream: PendingStream | None = None
        self._work: Callable[[], None] | None = None

    def take_over(self, work: Callable[[], None]) -> None:
        """Let the thread that waits produce its answer itself."""
        self._work = work
        self._answered.release()

    def send(self, reply: Reply) -> None:
        """Hand a whole answer over."""
        self._reply = reply
        self._answered.release()

    def start(self, reply: Reply) -> None:
        """Hand status and headers of a stream over."""
        self._stream = PendingStream()
        self.send(reply)

    def write(self, chunk: bytes) -> None:
        """Hand a chunk over, waiting while the client is slow.

        Raises:
            ClientGoneError: The engine has closed the answer.
        """
        if self._stream is not None:
            self._stream.write(chunk)

    def finish(self, *, complete: bool) -> None:
        """End a stream; without one, there is no answer at all."""
        if self._stream is not None:
            self._stream.finish(complete=complete)
        else:
            self._answered.release()

    def relay(self, start_response: StartResponse, method: str) -> Iterable[bytes]:
        """The WSGI side: waits for the answer, then gives its body."""
        self._answered.acquire()
        while (work := self._work) is not None:
            self._work = None
            # It ends without an answer when calls are held back; then it is handed over again.
            work()
            self._answered.acquire()
        reply = self._reply
        if reply is None:
            raise ClientGoneError("the answer was ended before it started")
        start_response(reply.status, reply.headers)
        if self._stream is not None:
            return self._stream
        return [reply.body] if method != "HEAD" else []


class PendingStream:
    """Chunks between the thread that makes them and the engine that sends them."""

    def __init__(self) -> None:
        self._items: queue.Queue[bytes] = queue.Queue(PENDING_CHUNKS)
        self._gone = threading.Event()
        self._complete = False

    def write(self, chunk: bytes) -> None:
        """Add a chunk, waiting while there are too many.

        Raises:
            ClientGoneError: The engine has closed the answer.
        """
        while not self._gone.is_set():
            with suppress(queue.Full):
                self._items.put(chunk, timeout=0.2)
                return
        raise ClientGoneError("the engine closed the answer")

    def finish(self, *, complete: bool) -> None:
        """There are no more chunks."""
        self._complete = complete
        with suppress(ClientGoneError):
            self.write(b"")

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        item = self._items.get()
        if item:
            return item
        self._gone.set()
        if not self._complete:
            raise ClientGoneError("the stream broke off")
        raise StopIteration

    def close(self) -> None:
        """The engine sends no more."""
        self._gone.set()


def hand_over(call: ScoringCall, work: Callable[[], None]) -> None:
    """Have a call performed on the thread that brought it."""
    exchange = call.transaction.exchange
    if isinstance(exchange, WaitingExchange):
        exchange.take_over(work)


def create_wsgi_server() -> WsgiServer:
    """The server for the settings of the environment, with its script loaded.

    Raises:
        SettingsError: A setting cannot be used.
        StartError: The scoring script cannot be served.
    """
    settings = load_settings(os.environ)
    scoreboard = Scoreboard()
    row = scoreboard.take_row()
    application = Application(settings, scoreboard, row, leave, hand_over)
    ScriptThread(application).wait_until_loaded()
    return WsgiServer(application)


def leave() -> None:
    """End this process now, so that its master replaces it."""
    sys.stdout.flush()
    os._exit(STUCK)
