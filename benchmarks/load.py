"""The client: a closed loop of POST requests over a number of connections.

`wrk` where it is installed, else a client of the standard library; both are bounded in time and
stop a measurement that had failures. The latter also sends an exact number of requests.
"""

from __future__ import annotations

import json
import re
import selectors
import shutil
import socket
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from benchmarks.errors import MeasureError

HOST = "127.0.0.1"
PATH = "/score"
BODY = b'{"data": [[1, 2, 3, 4]]}'
ANSWER = b'"ok"'
ANSWER_TIMEOUT_S = 10.0
MAX_REQUESTS = 1_000_000
OK = 200

_SCRIPT = Path(__file__).parent / "post.lua"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


@dataclass(frozen=True)
class Load:
    """What a loop of requests came to; every one of them was answered with 200."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


class Client(Protocol):
    """Something that can make load."""

    name: str

    def run(self, port: int, connections: int, seconds: int, *, keep_alive: bool = True) -> Load:
        """Send requests for some seconds, one at a time on each connection.

        Args:
            port: Where the server listens.
            connections: How many are open at a time.
            seconds: How long.
            keep_alive: False asks the server to close each connection behind its answer.

        Raises:
            MeasureError: Some request was not answered with 200.
        """


def choose_client() -> Client:
    """`wrk` when it is on the PATH; it takes far less of the machine than Python."""
    return WrkClient() if shutil.which("wrk") else StdlibClient()


class WrkClient:
    """The program `wrk`, with one thread."""

    def __init__(self) -> None:
        words = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout
        match = re.match(r"wrk \D*([\d.]+)", words)
        self.name = f"wrk {match[1]}" if match else "wrk"

    def run(self, port: int, connections: int, seconds: int, *, keep_alive: bool = True) -> Load:
        """See `Client.run`."""
        command = [
            "wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s",
            "--timeout", f"{ANSWER_TIMEOUT_S:g}s", "-s", str(_SCRIPT),
            f"http://{HOST}:{port}{PATH}", "--", BODY.decode(), _connection_header(keep_alive),
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=True, timeout=seconds + 30
            )
        except (subprocess.SubprocessError, OSError) as error:
            raise MeasureError(f"wrk did not work: {error}") from error
        figures = json.loads(done.stdout.strip().splitlines()[-1])
        failed = figures.pop("failed")
        if failed or not figures["requests"]:
            raise MeasureError(f"{failed} of {figures['requests']} requests failed")
        return Load(**figures)


def _connection_header(keep_alive: bool) -> str:
    return "keep-alive" if keep_alive else "close"


def _request(keep_alive: bool) -> bytes:
    lines = [
        f"POST {PATH} HTTP/1.1",
        f"Host: {HOST}",
        f"Connection: {_connection_header(keep_alive)}",
        "Content-Type: application/json",
        f"Content-Length: {len(BODY)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + BODY


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

    def receive(self) -> bool | None:
        """Whether the connection stays open behind a complete answer; `None` without one."""
        data = self.sock.recv(65536)
        if not data:
            raise MeasureError(f"the connection was closed behind {self.received!r}")
        self.received += data
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if not separator:
            return None
        length = _LENGTH.search(head)
        if length is None or not head.startswith((b"HTTP/1.1 200 ", b"HTTP/1.0 200 ")):
            raise MeasureError(f"answered {head!r}")
        if len(body) < int(length[1]):
            return None
        return not _CLOSE.search(head)


class StdlibClient:
    """One thread over all connections; may itself be the limit above some 10,000 a second."""

    name = "a client of Python's standard library (`wrk` is not installed)"

    def run(self, port: int, connections: int, seconds: int, *, keep_alive: bool = True) -> Load:
        """See `Client.run`."""
        return self.send(port, connections, seconds, MAX_REQUESTS, keep_alive=keep_alive)

    def send(
        self, port: int, connections: int, seconds: float, count: int, *, keep_alive: bool = True
    ) -> Load:
        """Send at most `count` requests in at most `seconds`; otherwise as `Client.run`.

        Raises:
            MeasureError: Some request was not answered with 200.
        """
        latencies: list[float] = []
        opened: list[_Connection] = []
        begin = time.perf_counter()
        try:
            with selectors.DefaultSelector() as selector:
                for _ in range(min(connections, count)):
                    opened.append(_Connection(port, _request(keep_alive)))
                    selector.register(opened[-1], selectors.EVENT_READ, opened[-1])
                    opened[-1].send()
                _exchange(selector, latencies, begin + seconds, count - len(opened))
        except OSError as error:
            raise MeasureError(f"request {len(latencies) + 1} failed: {error}") from error
        finally:
            for connection in opened:
                connection.sock.close()
        if not latencies:
            raise MeasureError(f"no answer within {seconds:g} s")
        percentiles = statistics.quantiles([*latencies, latencies[-1]], n=100)
        return Load(
            len(latencies),
            time.perf_counter() - begin,
            percentiles[49] * 1000,
            percentiles[98] * 1000,
        )


def _exchange(
    selector: selectors.BaseSelector, latencies: list[float], until: float, to_send: int
) -> None:
    """Take answers, and send the next request behind each, until time or requests are used up."""
    while selector.get_map() and time.perf_counter() < until:
        for key, _ in selector.select(until - time.perf_counter()):
            connection: _Connection = key.data
            stays_open = connection.receive()
            if stays_open is None:
                continue
            latencies.append(time.perf_counter() - connection.sent_at)
            if to_send and stays_open:
                connection.send()
            else:
                selector.unregister(connection)
                connection.sock.close()
            if to_send and not stays_open:
                connection.open()
                selector.register(connection, selectors.EVENT_READ, connection)
                connection.send()
            to_send -= bool(to_send)
