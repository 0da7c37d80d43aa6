"""P5: five times as many requests as a server can serve."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.arrivals import even, poisson
from benchmarks.asking import OK, Request, ask
from benchmarks.environments import Installed
from benchmarks.errors import MeasureError
from benchmarks.figures import Better, Figure, percentile
from benchmarks.offered import Due, End, Outcome, Plan
from benchmarks.open_loop import run
from benchmarks.peers.tasks import SERIAL_S
from benchmarks.running import RunningServer
from benchmarks.servers.base import Kind, Server
from benchmarks.workloads.base import Bench

TIMES = 5
HEALTH_RATE = 10
RECOVERY_LIMIT_S = 10.0
_RECOVERED_S = 3 * SERIAL_S
_ASK_AGAIN_S = 0.05


def patience_s(overload_s: float) -> float:
    """How long a client waits: a third of the overload, so that queues show; 10 s at 30 s."""
    return overload_s / 3


def goodput_percent(outcomes: Sequence[Outcome], overload_s: float) -> float:
    """Answers of status 200, as a share of what the model could have served in that time."""
    served = sum(1 for outcome in outcomes if outcome.kind == "score" and outcome.is_ok)
    return 100 * served * SERIAL_S / overload_s


@dataclass(frozen=True)
class Overload:
    """An open loop at five times the capacity, with health probes beside it."""

    name: str = "P5"
    title: str = "P5: overload"
    about: str = (
        f"A model of {SERIAL_S * 1000:g} ms with one place, offered {TIMES} times what it can "
        f"serve (open loop, Poisson), and its liveness probe asked {HEALTH_RATE} times a second.\n"
        "Clients give up after a third of the overload's length.\n"
        "A server that queues everything serves requests that nobody waits for any more."
    )
    kinds: Sequence[Kind] = (Kind.OVERLOAD,)
    figures: Sequence[Figure] = (
        Figure("P5-goodput", "Answered 200 in time, of what can be served", "%", in_chart=True),
        Figure(
            "P5-gave-up", "Clients that gave up", "%",
            "of those whose request ended during the overload", Better.LESS,
        ),
        Figure(
            "P5-refusal-p99", "Slowest 1 % of the refusals", "ms",
            "servers that refuse nothing have none", Better.LESS, digits=1,
        ),
        Figure(
            "P5-health-p99", "Slowest 1 % of the health answers", "ms",
            "a probe that got no answer counts with the clients' patience", Better.LESS, digits=1,
            in_chart=True,
        ),
        Figure(
            "P5-recovery", "Until a request is answered as in peace", "s",
            f"after the load has stopped and its clients have left: an answer within "
            f"{_RECOVERED_S * 1000:g} ms; looked for during {RECOVERY_LIMIT_S:g} s, which is what "
            "servers show that took longer", Better.LESS, digits=2, in_chart=True,
        ),
    )  # fmt: skip
    most_rounds: int = 1

    def suits(self, server: Server, kind: Kind) -> bool:
        """Servers with a liveness probe."""
        return bool(server.health)

    def measure(self, installed: Installed, kind: Kind, bench: Bench) -> Mapping[str, float]:
        """See `Workload.measure`."""
        seconds = bench.overload_s
        arrivals = [Due(at) for at in poisson(TIMES / SERIAL_S, seconds, bench.seed)]
        probes = [Due(at, "health") for at in even(HEALTH_RATE, seconds)]
        with RunningServer(installed, kind, bench.cores.server) as server:
            server.wait_for_answer()
            plan = Plan(
                sorted([*arrivals, *probes], key=lambda due: due.at),
                {
                    "score": server.scoring_request.encoded(),
                    "health": Request(installed.server.health, b"").encoded(),
                },
                patience_s(seconds),
                drain=False,
            )
            record = run(server.port, plan)
            recovery = _recovery_s(server)
            server.kill()
        if record.fell_behind:
            raise MeasureError("the generator fell behind")
        return {**_figures_of(record.outcomes, seconds), "P5-recovery": recovery}


def _figures_of(outcomes: Sequence[Outcome], seconds: float) -> dict[str, float]:
    ended = [o for o in outcomes if o.kind == "score" and o.end is not End.CUT_OFF]
    refusals = [o.latency for o in ended if o.end is End.ANSWERED and not o.is_ok]
    health = [
        o.latency if o.is_ok else max(o.latency, patience_s(seconds))
        for o in outcomes
        if o.kind == "health"
    ]
    gave_up = sum(1 for o in ended if o.end is End.TIMED_OUT)
    found = {
        "P5-goodput": goodput_percent(ended, seconds),
        "P5-gave-up": 100 * gave_up / max(1, len(ended)),
        "P5-health-p99": percentile(health, 99) * 1000,
    }
    if refusals:
        found["P5-refusal-p99"] = percentile(refusals, 99) * 1000
    return found


def _recovery_s(server: RunningServer) -> float:
    """Seconds until an answer takes no longer than it should; at most `RECOVERY_LIMIT_S`."""
    begin = time.perf_counter()
    while (waited := time.perf_counter() - begin) < RECOVERY_LIMIT_S:
        try:
            asked = time.perf_counter()
            status, _ = ask(
                server.port, server.scoring_request, RECOVERY_LIMIT_S - waited + _RECOVERED_S
            )
            now = time.perf_counter()
            if status == OK and now - asked <= _RECOVERED_S:
                return now - begin
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(_ASK_AGAIN_S)
    return RECOVERY_LIMIT_S
