"""A client that sends at a steady rate, whether or not it gets answers."""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.responses import Response, parse_response
from tests.servers import HOST, ServerProcess

REFUSED = "refused"
"""No connection could be made, so nothing was sent."""

PATIENCE_S = 20.0


@dataclass
class Outcomes:
    """What became of the requests: an answer each, or what stood in its way."""

    answers: list[Response] = field(default_factory=list)
    answered_at: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def with_status(self, status: int) -> list[Response]:
        """The answers of this status."""
        return [answer for answer in self.answers if answer.status == status]


@dataclass
class _Exchange:
    sock: socket.socket
    request: bytes
    received: bytes = b""
    connected: bool = False


class OpenLoop:
    """Sends requests one after the other, each on a new connection or on one of a pool.

    Args:
        server: The server.
        per_second: Requests sent each second.
        pool: Connections that are opened beforehand and used again; more are opened when all of
            them are busy. None for a new connection each time.
    """

    def __init__(self, server: ServerProcess, per_second: float, pool: int | None = None) -> None:
        self._address = (HOST, server.port)
        self._pause = 1 / per_second
        self._keeps_alive = pool is not None
        self._selector = selectors.DefaultSelector()
        self._idle: deque[socket.socket] = deque()
        self._outcomes = Outcomes()
        for _ in range(pool or 0):
            sock = socket.create_connection(self._address)
            sock.setblocking(False)
            self._selector.register(sock, selectors.EVENT_READ, None)
            self._idle.append(sock)

    def send(
        self, count: int, request: bytes, halfway: Callable[[], object] = lambda: None
    ) -> Outcomes:
        """Send so many requests, do something after half of them, and wait for every answer."""
        next_at = time.monotonic()
        for number in range(count):
            if number == count // 2:
                halfway()
            self._handle_events(until=next_at)
            self._start(request)
            next_at += self._pause
        deadline = time.monotonic() + PATIENCE_S
        while self._busy() and time.monotonic() < deadline:
            self._handle_events(until=min(deadline, time.monotonic() + 0.05))
        self._outcomes.failures += ["no answer"] * len(self._busy())
        for key in list(self._selector.get_map().values()):
            self._close(key.fileobj)
        self._selector.close()
        return self._outcomes

    def _busy(self) -> list[_Exchange]:
        return [key.data for key in self._selector.get_map().values() if key.data is not None]

    def _start(self, request: bytes) -> None:
        if self._idle:
            exchange = _Exchange(self._idle.popleft(), request, connected=True)
            self._selector.modify(exchange.sock, selectors.EVENT_READ, exchange)
            self._write(exchange)
            return
        exchange = _Exchange(socket.socket(), request)
        exchange.sock.setblocking(False)
        if exchange.sock.connect_ex(self._address) == errno.ECONNREFUSED:
            exchange.sock.close()
            self._outcomes.failures.append(REFUSED)
        else:
            self._selector.register(exchange.sock, selectors.EVENT_WRITE, exchange)

    def _handle_events(self, until: float) -> None:
        while True:
            pause = until - time.monotonic()
            for key, _ in self._selector.select(max(0.0, pause)):
                if key.data is None:
                    self._idle.remove(key.fileobj)  # type: ignore[arg-type]
                    self._close(key.fileobj)
                else:
                    self._advance(key.data)
            if pause <= 0:
                return

    def _advance(self, exchange: _Exchange) -> None:
        if not exchange.connected:
            error = exchange.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                refused = error == errno.ECONNREFUSED
                self._fail(exchange, REFUSED if refused else f"connecting: {error}")
                return
            exchange.connected = True
            self._selector.modify(exchange.sock, selectors.EVENT_READ, exchange)
            self._write(exchange)
            return
        try:
            data = exchange.sock.recv(65536)
        except OSError as error:
            self._fail(exchange, repr(error))
            return
        exchange.received += data
        if not data:
            self._fail(exchange, f"closed after {exchange.received!r}")
        elif _is_whole(exchange.received):
            self._finish(exchange)

    def _write(self, exchange: _Exchange) -> None:
        try:
            exchange.sock.send(exchange.request)
        except OSError as error:
            self._fail(exchange, repr(error))

    def _finish(self, exchange: _Exchange) -> None:
        answer = parse_response(exchange.received)
        self._outcomes.answers.append(answer)
        self._outcomes.answered_at.append(time.monotonic())
        if self._keeps_alive and answer.headers["Connection"] == "keep-alive":
            self._selector.modify(exchange.sock, selectors.EVENT_READ, None)
            self._idle.append(exchange.sock)
        else:
            self._close(exchange.sock)

    def _fail(self, exchange: _Exchange, why: str) -> None:
        self._outcomes.failures.append(why)
        self._close(exchange.sock)

    def _close(self, sock: object) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(sock)  # type: ignore[arg-type]
        sock.close()  # type: ignore[attr-defined]


def _is_whole(received: bytes) -> bool:
    head, separator, body = received.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if separator and line.startswith(b"content-length:"):
            return len(body) >= int(line.partition(b":")[2])
    return False
