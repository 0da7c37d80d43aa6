"""A closed loop of clients with kept connections, in a process of its own.

Run as a file with Python's `-I`: it imports nothing of this package, and shares neither interpreter
nor start time with it.
"""

from __future__ import annotations

import argparse
import json
import re
import selectors
import socket
import sys
import time
from pathlib import Path

LEAST_ANSWERS = 5
"""Slow scripts get longer, until so many answers are there."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"
_OK = re.compile(rb"HTTP/1\.\d 200 ")


class Client:
    """One connection with one request under way."""

    def __init__(self, address: tuple[str, int], request: bytes) -> None:
        self._address = address
        self._request = request
        self.sock = socket.create_connection(address, timeout=10)
        self.received = b""
        self.sent_at = 0.0

    def send(self) -> None:
        """Send the next request."""
        self.received = b""
        self.sent_at = time.perf_counter()
        self.sock.sendall(self._request)

    def reconnect(self) -> None:
        """Open the connection anew."""
        self.sock.close()
        self.sock = socket.create_connection(self._address, timeout=10)

    def receive(self) -> tuple[bool, bool] | None:
        """Whether the answer is a good one and the connection stays; None without one yet."""
        data = self.sock.recv(1 << 20)
        if not data:
            return bool(_OK.match(self.received)) and not _LENGTH.search(self.received), False
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end:
            return None
        length = _LENGTH.search(head)
        if not (len(body) >= int(length[1]) if length else body.endswith(_LAST_CHUNK)):
            return None
        return bool(_OK.match(head)), not _CLOSES.search(head)


def run(
    address: tuple[str, int], request: bytes, clients: int, seconds: float, longest: float
) -> dict[str, float]:
    """Keep all clients busy for so long and say what they saw.

    Answers of the first quarter do not count: processors and caches warm up in it.
    """
    latencies: list[float] = []
    failures = 0
    begin = time.perf_counter()
    count_from, until = begin + seconds / 4, begin + seconds
    with selectors.DefaultSelector() as selector:
        for _ in range(clients):
            client = Client(address, request)
            selector.register(client.sock, selectors.EVENT_READ, client)
            client.send()
        while (now := time.perf_counter()) < begin + longest and (
            now < until or len(latencies) < LEAST_ANSWERS
        ):
            for key, _ in selector.select(0.1):
                client = key.data
                outcome = client.receive()
                if outcome is None:
                    continue
                good, stays = outcome
                failures += not good
                if good and client.sent_at >= count_from:
                    latencies.append(time.perf_counter() - client.sent_at)
                if not stays:
                    selector.unregister(client.sock)
                    client.reconnect()
                    selector.register(client.sock, selectors.EVENT_READ, client)
                client.send()
        elapsed = time.perf_counter() - count_from
    latencies.sort()
    return {
        "per_second": len(latencies) / elapsed,
        "p50_ms": _quantile(latencies, 0.5) * 1000,
        "p99_ms": _quantile(latencies, 0.99) * 1000,
        "answers": len(latencies),
        "failures": failures,
    }


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def main() -> None:
    """Read the command line, send, print one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--longest", type=float, required=True)
    parser.add_argument("--request_file", type=Path, required=True)
    parser.add_argument("--content_type", required=True)
    options = parser.parse_args()
    body = options.request_file.read_bytes()
    head = (
        f"POST /score HTTP/1.1\r\nHost: 127.0.0.1:{options.port}\r\n"
        f"Content-Type: {options.content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    address = ("127.0.0.1", options.port)
    figures = run(address, head.encode() + body, options.clients, options.seconds, options.longest)
    json.dump(figures, sys.stdout)


if __name__ == "__main__":
    main()
