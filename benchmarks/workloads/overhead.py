"""P0: what a server adds to a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.closed_loop import Load
from benchmarks.environments import Installed
from benchmarks.figures import Better, Figure
from benchmarks.machine import has_proc, processor_seconds
from benchmarks.running import RunningServer
from benchmarks.servers.base import Kind, Server
from benchmarks.workloads.base import Bench

CONNECTIONS = (1, 8, 32, 128)
CLOSING = (32,)
WATCHED = (1, 32)
"""Numbers of connections of which latency and processor time are shown too."""

_CLOSING_SERVERS = ("azml", "azml-granian", "reference", "gunicorn-16")


def _at(connections: int) -> str:
    return f"{connections} connection{'s' if connections > 1 else ''}"


def _figures() -> list[Figure]:
    figures = [
        Figure(f"P0-rate-{c}", f"Served at {_at(c)}", "requests per second", in_chart=True)
        for c in CONNECTIONS
    ]
    figures += [
        Figure(
            f"P0-rate-{c}-closing",
            f"Served at {_at(c)}, closed behind each answer",
            "requests per second",
        )
        for c in CLOSING
    ]
    for c in WATCHED:
        figures += [
            Figure(f"P0-p99-{c}", f"Slowest 1 % at {_at(c)}", "ms", better=Better.LESS, digits=2),
            Figure(
                f"P0-cpu-{c}",
                f"Processor time per request at {_at(c)}",
                "µs",
                "user and system time of the server's processes; suffers less from other programs "
                "than the rate does",
                Better.LESS,
            ),
        ]
    refused = "only answers of status 200 count as served; a full queue refuses with 429"
    return [
        *figures,
        Figure("P0-refused-128", f"Refused at {_at(128)}", "%", refused, Better.LESS, digits=1),
    ]


@dataclass(frozen=True)
class Overhead:
    """A closed loop of no-op requests, at several numbers of connections."""

    name: str = "P0"
    title: str = "P0: overhead"
    about: str = (
        '`{"data": [[1, 2, 3, 4]]}` is answered with the sum; closed loop.\n'
        "The figures say what a server adds to a request: next to a model that takes 10 ms, "
        "what any of them adds is small."
    )
    kinds: Sequence[Kind] = (Kind.NO_OP,)
    figures: Sequence[Figure] = tuple(_figures())
    most_rounds: int = 1000

    def suits(self, server: Server, kind: Kind) -> bool:
        """Any server."""
        return True

    def measure(self, installed: Installed, kind: Kind, bench: Bench) -> Mapping[str, float]:
        """See `Workload.measure`."""
        found: dict[str, float] = {}
        with RunningServer(installed, kind, bench.cores.server) as server:
            server.wait_for_answer()
            bench.client.run(server.port, server.scoring_request, 32, bench.warm_up_s)
            for connections in CONNECTIONS:
                load, processor_s = _load(server, bench, connections)
                found[f"P0-rate-{connections}"] = load.rate
                if f"P0-refused-{connections}" in _NAMES:
                    found[f"P0-refused-{connections}"] = load.refused_percent
                if connections in WATCHED:
                    found[f"P0-p99-{connections}"] = load.p99_ms
                    if processor_s is not None:
                        found[f"P0-cpu-{connections}"] = processor_s / load.requests * 1e6
            if installed.server.name in _CLOSING_SERVERS:
                for connections in CLOSING:
                    load, _ = _load(server, bench, connections, keep_alive=False)
                    found[f"P0-rate-{connections}-closing"] = load.rate
            server.check_answer()
            server.kill()
        return found


_NAMES = {figure.name for figure in Overhead.figures}


def _load(
    server: RunningServer, bench: Bench, connections: int, *, keep_alive: bool = True
) -> tuple[Load, float | None]:
    pids = server.pids() if has_proc() else []
    before = processor_seconds(pids)
    load = bench.client.run(
        server.port, server.scoring_request, connections, bench.seconds, keep_alive=keep_alive
    )
    return load, processor_seconds(pids) - before if pids else None
