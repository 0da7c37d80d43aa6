"""Clients of several kinds, and a reader of `/metrics`."""

from __future__ import annotations

import contextlib
import http.client
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.responses import Response, parse_response
from tests.servers import ServerProcess, poll


def scoring_request(body: bytes | str = b"", *headers: str, close: bool = True) -> bytes:
    """Return the bytes of a POST to `/score`; by default it ends its connection."""
    content = body.encode() if isinstance(body, str) else body
    lines = ["POST /score HTTP/1.1", "Host: x", f"Content-Length: {len(content)}", *headers]
    lines += ["Connection: close"] if close else []
    return "\r\n".join([*lines, "", ""]).encode() + content


def get_request(path: str, *headers: str, close: bool = True) -> bytes:
    """Return the bytes of a GET; by default it ends its connection."""
    lines = [f"GET {path} HTTP/1.1", "Host: x", *headers]
    lines += ["Connection: close"] if close else []
    return "\r\n".join([*lines, "", ""]).encode()


def exchange(server: ServerProcess, request: bytes, *, half_close: bool = False) -> Response:
    """Send the bytes of one request and parse what comes back until the server closes."""
    return parse_response(server.raw(request, half_close=half_close))


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """Read until the bytes received end with `end`."""
    received = b""
    while not received.endswith(end):
        block = connection.recv(65536)
        assert block, f"the connection was closed after {received!r}"
        received += block
    return received


def read_to_end(connection: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def read_responses(connection: socket.socket, count: int) -> list[Response]:
    """Read answers with a Content-Length, one after the other, from one connection."""
    buffer = b""
    responses: list[Response] = []
    while len(responses) < count:
        head, separator, rest = buffer.partition(b"\r\n\r\n")
        length = _content_length(head)
        if separator and len(rest) >= length:
            whole = head + separator + rest[:length]
            responses.append(parse_response(whole))
            buffer = buffer[len(whole) :]
            continue
        block = connection.recv(65536)
        assert block, f"closed after {len(responses)} of {count} answers, with {buffer!r}"
        buffer += block
    return responses


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def lines_of(path: Path) -> list[str]:
    """Return the lines of a file that a script writes, none while it is not there."""
    return path.read_text().splitlines() if path.exists() else []


def wait_for_line(path: Path, line: str) -> None:
    """Wait until a script has written the line."""
    poll(lambda: line in lines_of(path), timeout=10, what=f"{line!r} in {path.name}")


def queue_length(server: ServerProcess) -> int:
    """Return how many requests wait for `run()`."""
    length: int = server.get("/readyz").json()["queue_length"]
    return length


def wait_for_queue(server: ServerProcess, length: int) -> None:
    """Wait until so many requests wait for `run()`."""
    poll(lambda: queue_length(server) == length, timeout=10, what=f"a queue of {length}")


# Metrics

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read_metrics(server: ServerProcess) -> Samples:
    """Return the samples of `/metrics`, as Prometheus's own parser reads them."""
    response = server.get("/metrics")
    assert response.status == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def metric(server: ServerProcess, name: str, **labels: str) -> float:
    """Return one sample of `/metrics`; 0 when it is not there."""
    return read_metrics(server).get((name, tuple(sorted(labels.items()))), 0.0)


# Load


@dataclass
class Trickle:
    """Requests sent one after the other while something else happens."""

    answers: list[Response] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def add(self, server: ServerProcess, body: str) -> None:
        """Send one request and note what became of it."""
        try:
            self.answers.append(server.score(body))
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(repr(error))

    @property
    def statuses(self) -> set[int]:
        """Status codes seen so far."""
        return {answer.status for answer in self.answers}


@contextlib.contextmanager
def trickle(server: ServerProcess, body: str = "x", pause: float = 0.01) -> Iterator[Trickle]:
    """Keep sending requests, each on a connection of its own, until the block ends."""
    seen = Trickle()
    done = threading.Event()

    def send_all() -> None:
        while not done.wait(pause):
            seen.add(server, body)

    thread = threading.Thread(target=send_all)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


@contextlib.contextmanager
def saturated(server: ServerProcess, clients: int, body: str) -> Iterator[list[int]]:
    """Keep so many requests under way at once until the block ends; yields the bytes received.

    All clients live on one thread, so that they take next to no time from what is measured.
    """
    received: list[int] = []
    request = scoring_request(body, close=False)
    done = threading.Event()
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for _ in range(clients):
            connection = stack.enter_context(server.connect())
            connection.sendall(request)
            selector.register(connection, selectors.EVENT_READ, connection)

        def keep_busy() -> None:
            while not done.is_set():
                for key, _ in selector.select(0.05):
                    block = key.data.recv(65536)
                    received.append(len(block))
                    assert block, "the server closed a connection under load"
                    key.data.sendall(request)

        thread = threading.Thread(target=keep_busy)
        thread.start()
        try:
            yield received
        finally:
            done.set()
            thread.join()


def quantile(values: list[float], share: float) -> float:
    """Return the value that a share of all values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def timed_get(server: ServerProcess, path: str) -> tuple[float, Response]:
    """GET a path; the seconds it took and the answer."""
    started = time.monotonic()
    response = server.get(path)
    return time.monotonic() - started, response
