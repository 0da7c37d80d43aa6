"""A client of streams: how soon the first token comes, and how fast the rest."""

from __future__ import annotations

import selectors
import socket
import time
from dataclasses import dataclass

from benchmarks.asking import HOST
from benchmarks.errors import MeasureError
from benchmarks.figures import percentile
from benchmarks.stdlib_client import ANSWER_TIMEOUT_S


@dataclass(frozen=True)
class Streamed:
    """What some streams, read side by side, came to."""

    first_token_ms: float
    tokens_per_s: float


@dataclass(eq=False)
class _Stream:
    sock: socket.socket
    count: int = 0
    rest: bytes = b""
    first_at: float | None = None


@dataclass(frozen=True)
class Expected:
    """What a stream should bring.

    Attributes:
        token: How a token looks; nothing else in the stream looks so.
        count: How many there are.
        limit_s: After which the rest is left unread.
    """

    token: bytes
    count: int
    limit_s: float


def read_streams(port: int, request: bytes, streams: int, expected: Expected) -> Streamed:
    """Read streams until each has brought its tokens or the time is up.

    The time of the first token is the median stream's; a stream that brought none counts with
    the time that it was waited for.

    Raises:
        MeasureError: A stream ended early, or stopped for `ANSWER_TIMEOUT_S`.
    """
    with selectors.DefaultSelector() as selector:
        opened = [_Stream(_connected(port)) for _ in range(streams)]
        try:
            begin = time.perf_counter()
            for stream in opened:
                stream.sock.sendall(request)
                selector.register(stream.sock, selectors.EVENT_READ, stream)
            _read_all(selector, expected, begin + expected.limit_s)
            seconds = time.perf_counter() - begin
        except OSError as error:
            raise MeasureError(f"a stream broke: {error}") from error
        finally:
            for stream in opened:
                stream.sock.close()
    firsts = [(stream.first_at or begin + seconds) - begin for stream in opened]
    count = sum(stream.count for stream in opened)
    return Streamed(percentile(firsts, 50) * 1000, count / seconds)


def _connected(port: int) -> socket.socket:
    sock = socket.create_connection((HOST, port), ANSWER_TIMEOUT_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _read_all(selector: selectors.BaseSelector, expected: Expected, until: float) -> None:
    while selector.get_map() and time.perf_counter() < until:
        ready = selector.select(ANSWER_TIMEOUT_S)
        if not ready:
            raise MeasureError(f"no token within {ANSWER_TIMEOUT_S:g} s")
        for key, _ in ready:
            stream: _Stream = key.data
            data = stream.sock.recv(1 << 18)
            if not data:
                raise MeasureError(
                    f"a stream ended behind {stream.count} of {expected.count} tokens"
                )
            _count(stream, data, expected.token)
            if stream.count >= expected.count:
                selector.unregister(stream.sock)


def _count(stream: _Stream, data: bytes, token: bytes) -> None:
    """Count tokens, also one that the pieces cut in two."""
    received = stream.rest + data
    found = received.count(token)
    if found and stream.first_at is None:
        stream.first_at = time.perf_counter()
    stream.count += found
    behind = received.rpartition(token)[2] if found else received
    stream.rest = behind[-(len(token) - 1) :]
