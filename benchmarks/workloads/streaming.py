"""P4: streams of tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.environments import Installed
from benchmarks.figures import Better, Figure
from benchmarks.peers.tasks import TOKEN, TOKENS
from benchmarks.running import RunningServer
from benchmarks.servers.base import Kind, Server
from benchmarks.streams import Expected, read_streams
from benchmarks.workloads.base import Bench

SIDE_BY_SIDE = (1, 16)
_PATIENCE = 3
"""How many times the usual length of a measurement streams are read before they are left."""


def _figures() -> list[Figure]:
    figures = []
    for count in SIDE_BY_SIDE:
        at = f"{count} stream{'s' if count > 1 else ''}"
        figures += [
            Figure(f"P4-tokens-{count}", f"Tokens, {at}", "per second", in_chart=True),
            Figure(
                f"P4-first-{count}",
                f"First token, {at}",
                "ms",
                "the median stream's; one that waits for others to end counts with the whole time"
                if count > 1
                else "",
                Better.LESS,
                digits=1,
                in_chart=True,
            ),
        ]
    return figures


@dataclass(frozen=True)
class Streaming:
    """One stream, then several side by side."""

    name: str = "P4"
    title: str = "P4: streaming"
    about: str = (
        f"{TOKENS:,} tokens, each given to the server for itself; the first answer is read to its "
        "end, and then as much as comes in a limited time.\n"
        "A server that joins tokens to larger pieces would look faster; those here send each."
    )
    kinds: Sequence[Kind] = (Kind.STREAM,)
    figures: Sequence[Figure] = tuple(_figures())
    most_rounds: int = 1

    def suits(self, server: Server, kind: Kind) -> bool:
        """Any server."""
        return True

    def measure(self, installed: Installed, kind: Kind, bench: Bench) -> Mapping[str, float]:
        """See `Workload.measure`."""
        found: dict[str, float] = {}
        with RunningServer(installed, kind, bench.cores.server) as server:
            server.wait_for_answer()
            for count in SIDE_BY_SIDE:
                streamed = read_streams(
                    server.port,
                    server.scoring_request.encoded(keep_alive=False),
                    count,
                    Expected(TOKEN.encode(), TOKENS, _PATIENCE * bench.seconds),
                )
                found[f"P4-tokens-{count}"] = streamed.tokens_per_s
                found[f"P4-first-{count}"] = streamed.first_token_ms
            server.kill()
        return found
