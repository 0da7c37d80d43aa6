"""The closed loop: each of some connections sends its next request when it has its answer.

`wrk` where it is installed, else a client of the standard library. Both are bounded in time and
stop a measurement in which requests got no answer; answers that refuse are counted.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.asking import HOST, Request
from benchmarks.errors import MeasureError
from benchmarks.stdlib_client import ANSWER_TIMEOUT_S, exchange

_SCRIPT = Path(__file__).parent / "post.lua"
MAX_REQUESTS = 1_000_000


@dataclass(frozen=True)
class Load:
    """What a loop of requests came to; every one of them had an answer.

    Attributes:
        requests: Answers.
        refused: Those of them with a status of 400 or more.
        seconds: Length of the loop.
        p50_ms: Median time to an answer.
        p99_ms: 99th percentile of it.
    """

    requests: int
    refused: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Requests per second that were served."""
        return (self.requests - self.refused) / self.seconds

    @property
    def refused_percent(self) -> float:
        """Share of the answers that refused."""
        return 100 * self.refused / self.requests


class Client(Protocol):
    """Something that can make load."""

    name: str

    def run(
        self,
        port: int,
        request: Request,
        connections: int,
        seconds: int,
        *,
        keep_alive: bool = True,
    ) -> Load:
        """Send requests for some seconds, one at a time on each connection.

        Args:
            port: Where the server listens.
            request: What is sent.
            connections: How many are open at a time.
            seconds: How long.
            keep_alive: False asks the server to close each connection behind its answer.

        Raises:
            MeasureError: Some request had no answer, or every answer refused.
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

    def run(
        self,
        port: int,
        request: Request,
        connections: int,
        seconds: int,
        *,
        keep_alive: bool = True,
    ) -> Load:
        """See `Client.run`."""
        command = [
            "wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s",
            "--timeout", f"{ANSWER_TIMEOUT_S:g}s", "-s", str(_SCRIPT),
            f"http://{HOST}:{port}{request.path}", "--", request.method, request.body.decode(),
            "keep-alive" if keep_alive else "close",
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=True, timeout=seconds + 30
            )
        except (subprocess.SubprocessError, OSError) as error:
            raise MeasureError(f"wrk did not work: {error}") from error
        figures = json.loads(done.stdout.strip().splitlines()[-1])
        unanswered = figures.pop("unanswered")
        if unanswered:
            raise MeasureError(f"{unanswered} requests had no answer")
        return _served(Load(**figures))


class StdlibClient:
    """One thread over all connections; may itself be the limit above some 10,000 a second."""

    name = "a client of Python's standard library (`wrk` is not installed)"

    def run(
        self,
        port: int,
        request: Request,
        connections: int,
        seconds: int,
        *,
        keep_alive: bool = True,
    ) -> Load:
        """See `Client.run`."""
        done = exchange(
            port, request.encoded(keep_alive=keep_alive), connections, seconds, MAX_REQUESTS
        )
        return _served(Load(done.answers, done.refused, done.seconds, done.p50_ms, done.p99_ms))


def _served(load: Load) -> Load:
    if load.requests == load.refused:
        raise MeasureError(f"no request was served, {load.refused} were refused")
    return load
