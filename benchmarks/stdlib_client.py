"""A closed loop over sockets of the standard library; sends an exact number where that matters."""

from __future__ import annotations

import selectors
import socket
import time
from dataclasses import dataclass, field

from benchmarks.asking import HOST
from benchmarks.errors import MeasureError
from benchmarks.figures import percentile
from benchmarks.replies import Reply, parse

ANSWER_TIMEOUT_S = 10.0
REFUSED = 400


@dataclass(frozen=True)
class Exchange:
    """What came of a loop: answers, those that refused, and how long they took."""

    answers: int
    refused: int
    seconds: float
    p50_ms: float
    p99_ms: float


@dataclass
class _Loop:
    latencies: list[float] = field(default_factory=list)
    refused: int = 0


@dataclass
class _Connection:
    port: int
    request: bytes
    sock: socket.socket = field(init=False)
    received: bytes = b""
    sent_at: float = 0.0

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.sock = socket.create_connection((HOST, self.port), ANSWER_TIMEOUT_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fileno(self) -> int:
        return self.sock.fileno()

    def send(self) -> None:
        self.received = b""
        self.sent_at = time.perf_counter()
        self.sock.sendall(self.request)

    def receive(self) -> Reply | None:
        """The answer; `None` while it is not whole."""
        data = self.sock.recv(65536)
        self.received += data
        try:
            return parse(self.received, ended=not data)
        except ValueError as error:
            raise MeasureError(str(error)) from error


def exchange(port: int, request: bytes, connections: int, seconds: float, count: int) -> Exchange:
    """Send at most `count` requests in at most `seconds`, one at a time on each connection.

    Raises:
        MeasureError: Some request had no answer.
    """
    loop = _Loop()
    opened: list[_Connection] = []
    begin = time.perf_counter()
    try:
        with selectors.DefaultSelector() as selector:
            for _ in range(min(connections, count)):
                opened.append(_Connection(port, request))
                selector.register(opened[-1], selectors.EVENT_READ, opened[-1])
                opened[-1].send()
            _exchange(selector, loop, begin + seconds, count - len(opened))
    except OSError as error:
        raise MeasureError(f"request {len(loop.latencies) + 1} failed: {error}") from error
    finally:
        for connection in opened:
            connection.sock.close()
    if not loop.latencies:
        raise MeasureError(f"no answer within {seconds:g} s")
    return Exchange(
        len(loop.latencies),
        loop.refused,
        time.perf_counter() - begin,
        percentile(loop.latencies, 50) * 1000,
        percentile(loop.latencies, 99) * 1000,
    )


def _exchange(selector: selectors.BaseSelector, loop: _Loop, until: float, to_send: int) -> None:
    """Take answers, and send the next request behind each, until time or requests are used up."""
    while selector.get_map() and time.perf_counter() < until:
        for key, _ in selector.select(until - time.perf_counter()):
            connection: _Connection = key.data
            reply = connection.receive()
            if reply is None:
                continue
            loop.latencies.append(time.perf_counter() - connection.sent_at)
            loop.refused += reply.status >= REFUSED
            if to_send and reply.stays_open:
                connection.send()
            else:
                selector.unregister(connection)
                connection.sock.close()
            if to_send and not reply.stays_open:
                connection.open()
                selector.register(connection, selectors.EVENT_READ, connection)
                connection.send()
            to_send -= bool(to_send)
