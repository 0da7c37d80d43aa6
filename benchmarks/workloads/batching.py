"""P2: a device that likes batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.environments import Installed
from benchmarks.figures import Better, Figure
from benchmarks.peers.tasks import CALL_S, ROW_S
from benchmarks.running import RunningServer
from benchmarks.servers.base import Kind, Server
from benchmarks.workloads.base import Bench

CONNECTIONS = 64
_SIZES = {Kind.UNBATCHED: 1, Kind.BATCH_16: 16, Kind.BATCH_64: 64}
_WORDS = {1: "batching off", 16: "batches of 16", 64: "batches of up to 64"}


def ceiling(size: int) -> float:
    """Requests per second of a device that never waits for its next full batch."""
    return size / (CALL_S + ROW_S * size)


def _figures() -> list[Figure]:
    figures = []
    for size, words in _WORDS.items():
        figures += [
            Figure(
                f"P2-share-{size}",
                f"Share of the ceiling, {words}",
                "%",
                f"the ceiling is {ceiling(size):,.0f} requests per second",
                digits=1,
                in_chart=True,
            ),
            Figure(f"P2-p99-{size}", f"Slowest 1 %, {words}", "ms", better=Better.LESS, digits=1),
        ]
    return figures


@dataclass(frozen=True)
class Batching:
    """A closed loop over 64 connections."""

    name: str = "P2"
    title: str = "P2: batching"
    about: str = (
        f"A device that one call has at a time and that takes {CALL_S * 1000:g} ms and "
        f"{ROW_S * 1000:g} ms for each row, asked for one row over {CONNECTIONS} connections "
        "(closed loop).\n"
        "The ceiling is a device that never waits: with batches of up to 64 it would need all 64 "
        "clients to ask again in no time, so nobody reaches it."
    )
    kinds: Sequence[Kind] = tuple(_SIZES)
    figures: Sequence[Figure] = tuple(_figures())
    most_rounds: int = 1000

    def suits(self, server: Server, kind: Kind) -> bool:
        """Any server."""
        return True

    def measure(self, installed: Installed, kind: Kind, bench: Bench) -> Mapping[str, float]:
        """See `Workload.measure`."""
        with RunningServer(installed, kind, bench.cores.server) as server:
            server.wait_for_answer()
            bench.client.run(server.port, server.scoring_request, CONNECTIONS, bench.warm_up_s)
            load = bench.client.run(server.port, server.scoring_request, CONNECTIONS, bench.seconds)
            server.check_answer()
            server.kill()
        size = _SIZES[kind]
        return {
            f"P2-share-{size}": 100 * load.rate / ceiling(size),
            f"P2-p99-{size}": load.p99_ms,
        }
