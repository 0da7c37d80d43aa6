"""D1: from the command to the first answer, and what the processes weigh then."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import Installed
from benchmarks.errors import MeasureError
from benchmarks.figures import Better, Figure
from benchmarks.machine import MIB, has_proc, memory_of
from benchmarks.running import RunningServer, seconds_of
from benchmarks.servers.base import Kind, Role, Server
from benchmarks.stdlib_client import exchange
from benchmarks.workloads.base import Bench

REQUESTS_BEFORE_MEMORY = 1_000
_CONNECTIONS = 4
_LOAD_S = 60.0


@dataclass(frozen=True)
class Start:
    """A start, a little work, and the help."""

    name: str = "D1"
    title: str = "D1: cold start and memory"
    about: str = "The no-op service; standard output and error go to files."
    kinds: Sequence[Kind] = (Kind.NO_OP,)
    figures: Sequence[Figure] = (
        Figure(
            "D1-start", "Command to first answer", "ms",
            "to the end of the first answer 200 of the scoring route, asked for every millisecond",
            Better.LESS, in_chart=True,
        ),
        Figure("D1-help", "Help of the command", "ms", "", Better.LESS),
        Figure("D1-import", "Import of what users import", "ms", "interpreter included",
               Better.LESS),
        Figure(
            "D1-memory", "Memory of all its processes, PSS", "MiB",
            f"after {REQUESTS_BEFORE_MEMORY:,} requests on {_CONNECTIONS} connections; PSS divides "
            "each page by the processes that share it", Better.LESS, digits=1, in_chart=True,
        ),
        Figure("D1-largest", "Memory of the largest process, PSS", "MiB", "", Better.LESS,
               digits=1),
    )  # fmt: skip
    most_rounds: int = 5

    def suits(self, server: Server, kind: Kind) -> bool:
        """Servers that are no second variant of another."""
        return server.name not in ("fastapi-async", "gunicorn-1", "granian-1")

    def measure(self, installed: Installed, kind: Kind, bench: Bench) -> Mapping[str, float]:
        """See `Workload.measure`."""
        core, server_of = bench.cores.server, installed.server
        found: dict[str, float] = {}
        with RunningServer(installed, kind, core) as server:
            found["D1-start"] = server.wait_for_answer() * 1000
            if has_proc():
                found |= _memory(server)
            server.kill()
        with tempfile.TemporaryDirectory() as home:
            if server_of.help:
                found["D1-help"] = seconds_of(installed, core, Path(home), *server_of.help) * 1000
            if server_of.module and server_of.role is not Role.FLOOR:
                words = ("python", "-c", f"import {server_of.module}")
                found["D1-import"] = seconds_of(installed, core, Path(home), *words) * 1000
        return found


def _memory(server: RunningServer) -> dict[str, float]:
    count = REQUESTS_BEFORE_MEMORY
    done = exchange(server.port, server.scoring_request.encoded(), _CONNECTIONS, _LOAD_S, count)
    if done.answers - done.refused != count:
        raise MeasureError(f"{done.answers - done.refused} of {count} requests were served in time")
    sizes = [memory_of([pid]).pss / MIB for pid in server.pids()]
    return {"D1-memory": sum(sizes), "D1-largest": max(sizes)}
