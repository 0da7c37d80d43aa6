"""P3: how much a server takes while it stays quick."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.arrivals import gamma, poisson
from benchmarks.environments import Installed
from benchmarks.errors import MeasureError
from benchmarks.figures import Figure, percentile
from benchmarks.offered import MAX_LAG_S, MIN_IDLE, Due, Plan
from benchmarks.open_loop import run
from benchmarks.running import RunningServer
from benchmarks.servers.base import Kind, Server
from benchmarks.workloads.base import Bench

SLA_S = 0.100
STEPS = 5
STEP_S = 2
_GUESS_CONNECTIONS = 32
_BURST = 10_000
_BURST_TIMEOUT_S = 30.0


def largest_rate(holds: Callable[[float], bool], low: float, high: float, steps: int) -> float:
    """The largest rate found to hold, by halving the distance; 0 when none did."""
    best = 0.0
    for _ in range(steps):
        middle = (low + high) / 2
        if holds(middle):
            best = low = middle
        else:
            high = middle
    return best


@dataclass(frozen=True)
class SlaThroughput:
    """An open loop with Poisson arrivals, and one with bursts, at rates that are searched for."""

    name: str = "P3"
    title: str = "P3: throughput while p99 stays within 100 ms"
    about: str = (
        "The iris classifier with defaults, open loop: the largest rate at which the slowest 1 % "
        f"stay within {SLA_S * 1000:g} ms and nothing fails, found in {STEPS} steps of "
        f"{STEP_S} s.\n"
        "Latency counts from the moment a request was due.\n"
        "The generator's own limit is what it sends and reads at most, measured on raw Granian; a "
        f"step in which its slowest 1 % were sent over {MAX_LAG_S * 1000:g} ms late, or "
        f"in which it was idle for less than {MIN_IDLE:.0%} of the time, is void."
    )
    kinds: Sequence[Kind] = (Kind.IRIS, Kind.NO_OP)
    figures: Sequence[Figure] = (
        Figure("P3-poisson", "Poisson arrivals", "requests per second", in_chart=True),
        Figure(
            "P3-gamma",
            "Gamma arrivals (shape 0.25, bursts)",
            "requests per second",
            in_chart=True,
        ),
        Figure("P3-generator", "The generator's own limit", "requests per second"),
    )
    most_rounds: int = 1

    def suits(self, server: Server, kind: Kind) -> bool:
        """Servers of models, and raw Granian for the generator's limit."""
        return kind is Kind.IRIS or server.name == "granian"

    def measure(self, installed: Installed, kind: Kind, bench: Bench) -> Mapping[str, float]:
        """See `Workload.measure`."""
        with RunningServer(installed, kind, bench.cores.server) as server:
            server.wait_for_answer()
            guess = bench.client.run(
                server.port, server.scoring_request, _GUESS_CONNECTIONS, bench.warm_up_s
            )
            if kind is Kind.NO_OP:
                found = {"P3-generator": _own_limit(server)}
            else:
                found = {
                    "P3-poisson": _search(server, guess.rate, bench, poisson),
                    "P3-gamma": _search(server, guess.rate, bench, gamma),
                }
            server.check_answer()
            server.kill()
        return found


def _search(
    server: RunningServer,
    guess: float,
    bench: Bench,
    arrivals: Callable[[float, float, int], list[float]],
) -> float:
    def holds(rate: float) -> bool:
        due = [Due(at) for at in arrivals(rate, STEP_S, bench.seed)]
        plan = Plan(due, {"score": server.scoring_request.encoded()}, timeout_s=1.0)
        record = run(server.port, plan)
        if record.fell_behind:
            raise MeasureError(f"the generator fell behind at {rate:,.0f} requests per second")
        is_quick = percentile([outcome.latency for outcome in record.outcomes], 99) <= SLA_S
        return is_quick and all(outcome.is_ok for outcome in record.outcomes)

    return largest_rate(holds, guess * 0.1, guess * 1.2, STEPS)


def _own_limit(server: RunningServer) -> float:
    """Requests per second when all are due at once and go over a few connections."""
    plan = Plan(
        [Due(0.0)] * _BURST,
        {"score": server.scoring_request.encoded()},
        timeout_s=_BURST_TIMEOUT_S,
        max_connections=_GUESS_CONNECTIONS,
    )
    outcomes = run(server.port, plan).outcomes
    if not all(outcome.is_ok for outcome in outcomes):
        raise MeasureError("a request of the generator's own measurement failed")
    return _BURST / max(outcome.latency for outcome in outcomes)
