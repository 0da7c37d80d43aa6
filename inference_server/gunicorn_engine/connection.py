"""One client's connection: its bytes in, its answers out, and who may touch it when.

The loop's thread reads. Answers are written by whichever thread has them, straight to the socket as
far as it takes them; the loop sends the rest. `lock` guards everything that both sides change.
"""

from __future__ import annotations

import enum
import math
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from inference_server.gunicorn_engine.framing import LAST_CHUNK, Framing
from inference_server.gunicorn_engine.incoming import CompleteRequest, IncomingRequests
from inference_server.replies import Reply
from inference_server.transaction import ClientGoneError, Transaction

SMALL_BODY = 65536
"""Bodies below this size are copied behind their head: one system call instead of two."""


class Phase(enum.Enum):
    """What a connection is doing."""

    READING = "reading"
    ANSWERING = "answering"
    FLUSHING = "flushing"
    DRAINING = "draining"
    CLOSED = "closed"


class Loop(Protocol):
    """What a connection asks of the event loop, from any thread."""

    stopping: bool

    def soon(self, action: Callable[[], None]) -> None:
        """Run an action on the loop's thread."""

    def resume(self, connection: Connection) -> None:
        """Go on with a connection whose answer has been sent (loop's thread)."""

    def flush(self, connection: Connection) -> None:
        """Send what the socket did not take at once (loop's thread)."""

    def drop(self, connection: Connection) -> None:
        """Close a connection (loop's thread)."""


class Connection:
    """A client's connection; created, read and closed by the loop's thread."""

    def __init__(
        self, sock: socket.socket, address: Any, server: Any, incoming: IncomingRequests
    ) -> None:
        self.sock = sock
        self.address = address
        self.server = server
        self.incoming = incoming
        self.lock = threading.Lock()
        self.phase = Phase.READING
        self.since = time.monotonic()
        self.transaction: Transaction | None = None
        self.head: Any = None
        self.environ: dict[str, Any] = {}
        self.client_closed = False
        self.outbox = bytearray()
        self.close_when_flushed = False
        self.drains_until = math.inf
        self.events = 0

    def fileno(self) -> int:
        """For selectors."""
        return self.sock.fileno()

    def send_now(self, data: bytes) -> None:
        """Send as much as the socket takes; the rest waits in `outbox`. Hold the lock.

        Raises:
            OSError: The client is gone.
        """
        if not self.outbox:
            try:
                sent = self.sock.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            if sent == len(data):
                return
            data = data[sent:]
        self.outbox += data

    def send_waiting(self, data: bytes, timeout_s: float) -> None:
        """Send everything, waiting while the client reads slowly.

        Raises:
            ClientGoneError: The client closed its end, or read nothing for `timeout_s`.
        """
        view = memoryview(data)
        poller: Any = None
        while view:
            try:
                view = view[self.sock.send(view) :]
            except (BlockingIOError, InterruptedError):  # noqa: PERF203 - the rare case
                try:
                    if poller is None:
                        poller = select.poll()
                        poller.register(self.sock, select.POLLOUT)
                except ValueError:
                    raise ClientGoneError("the connection was closed") from None
                if not poller.poll(timeout_s * 1000):
                    raise ClientGoneError("the client stopped reading") from None
            except OSError as error:
                raise ClientGoneError(str(error)) from None


class GunicornExchange:
    """The way back for one request.

    Args:
        connection: Where the request came from.
        request: The parsed request.
        loop: The event loop.
        keep_alive: Whether the connection may be used again.
        write_timeout_s: How long a client may read nothing.
    """

    __slots__ = ("_connection", "_framing", "_keep_alive", "_loop", "_request", "_write_timeout_s")

    def __init__(
        self,
        connection: Connection,
        request: CompleteRequest,
        loop: Loop,
        *,
        keep_alive: bool,
        write_timeout_s: float,
    ) -> None:
        self._connection = connection
        self._request = request
        self._framing: Framing | None = None
        self._loop = loop
        self._keep_alive = keep_alive
        self._write_timeout_s = write_timeout_s

    def send(self, reply: Reply) -> None:
        """Send a whole answer; never blocks."""
        framing = self._frame(reply)
        data, body = framing.head, reply.body if framing.sends_body else b""
        if len(body) < SMALL_BODY:
            data, body = data + body, b""
        connection = self._connection
        try:
            with connection.lock:
                connection.send_now(data)
                if body:
                    connection.send_now(body)
                self._done(framing.close)
        except OSError:
            self._loop.soon(lambda: self._loop.drop(connection))

    def start(self, reply: Reply) -> None:
        """Send status and headers of a streamed answer."""
        self._framing = self._frame(reply)
        self._connection.send_waiting(self._framing.head, self._write_timeout_s)

    def write(self, chunk: bytes) -> None:
        """Send a chunk, waiting while the client is slow.

        Raises:
            ClientGoneError: There is nobody to send to.
        """
        if self._connection.phase is Phase.CLOSED:
            raise ClientGoneError("the connection was closed")
        if self._framing is not None and self._framing.sends_body:
            self._connection.send_waiting(self._framing.chunk(chunk), self._write_timeout_s)

    def finish(self, *, complete: bool) -> None:
        """End a streamed answer; an incomplete one is cut off, so that the client can tell."""
        connection, framing = self._connection, self._framing
        try:
            if framing is not None and complete and framing.is_chunked:
                connection.send_waiting(LAST_CHUNK, self._write_timeout_s)
        except ClientGoneError:
            complete = False
        if not complete or framing is None:
            self._loop.soon(lambda: self._loop.drop(connection))
            return
        with connection.lock:
            self._done(framing.close)

    def _frame(self, reply: Reply) -> Framing:
        connection = self._connection
        # A client that has closed its side may have sent more requests before.
        no_more = connection.client_closed and not connection.incoming.buffered
        keep_alive = self._keep_alive and not self._loop.stopping and not no_more
        return Framing(self._request.head, reply, keep_alive=keep_alive)

    def _done(self, close: bool) -> None:
        """Pass the connection on to its next request, or to its end. Hold the lock."""
        connection = self._connection
        connection.transaction = None
        connection.since = time.monotonic()
        if connection.outbox:
            connection.phase = Phase.FLUSHING
            connection.close_when_flushed = close
            self._loop.soon(lambda: self._loop.flush(connection))
        elif close:
            connection.phase = Phase.DRAINING
            self._loop.soon(lambda: self._loop.drop(connection))
        else:
            connection.phase = Phase.READING
            # What arrived while we answered was left in the buffer for this moment.
            if connection.incoming.buffered or connection.client_closed or self._loop.stopping:
                self._loop.soon(lambda: self._loop.resume(connection))
