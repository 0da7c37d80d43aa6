"""D5: a scoring process is killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.arrivals import even
from benchmarks.asking import ask
from benchmarks.environments import Installed
from benchmarks.errors import MeasureError
from benchmarks.figures import Better, Figure
from benchmarks.offered import Due, Outcome, Plan
from benchmarks.open_loop import run
from benchmarks.running import START_TIMEOUT_S, RunningServer
from benchmarks.servers.base import Kind, Server
from benchmarks.workloads.base import Bench
from benchmarks.workloads.reload import failures, value_of

TRICKLE_RATE = 20
LIMIT_S = 10.0
_KILL_AT_S = 0.5
_PATIENCE_S = 2.0


@dataclass(frozen=True)
class Crash:
    """`kill -9` of the process that scores, found by asking it."""

    name: str = "D5"
    title: str = "D5: a killed scoring process"
    about: str = (
        "The process that scores gets SIGKILL while requests trickle in at "
        f"{TRICKLE_RATE} per second.\n"
        f"A server that scores no more within {LIMIT_S:g} s is listed below the tables."
    )
    kinds: Sequence[Kind] = (Kind.PROCESS,)
    figures: Sequence[Figure] = (
        Figure(
            "D5-back", "Kill to the next answer of a new process", "s", "", Better.LESS, digits=2,
            in_chart=True,
        ),
        Figure("D5-failed", "Failed requests meanwhile", "", "", Better.LESS, in_chart=True),
    )  # fmt: skip
    most_rounds: int = 1

    def suits(self, server: Server, kind: Kind) -> bool:
        """Any server."""
        return True

    def measure(self, installed: Installed, kind: Kind, bench: Bench) -> Mapping[str, float]:
        """See `Workload.measure`."""
        with RunningServer(installed, kind, bench.cores.server) as server:
            server.wait_for_answer()
            pid = _scoring_pid(server)
            killed: list[float] = []
            begin = time.perf_counter()

            def kill() -> None:
                os.kill(pid, signal.SIGKILL)
                killed.append(time.perf_counter() - begin)

            def is_back(outcome: Outcome) -> bool:
                is_new = value_of(server.service, outcome) not in (None, pid)
                return bool(killed) and outcome.is_ok and is_new

            plan = Plan(
                [Due(at) for at in even(TRICKLE_RATE, _KILL_AT_S + LIMIT_S)],
                {"score": server.scoring_request.encoded(keep_alive=False)},
                timeout_s=_PATIENCE_S,
                deeds=[(_KILL_AT_S, kill)],
                until=is_back,
                drain=False,
            )
            outcomes = run(server.port, plan).outcomes
            server.kill()
        answers = [outcome for outcome in outcomes if is_back(outcome)]
        if not answers:
            raise MeasureError(f"did not score again within {LIMIT_S:g} s of the kill")
        return {"D5-back": answers[0].ended_at - killed[0], "D5-failed": failures(outcomes)}


def _scoring_pid(server: RunningServer) -> int:
    _, body = ask(server.port, server.scoring_request, START_TIMEOUT_S)
    pid = server.service.value(body)
    if not isinstance(pid, int) or pid not in server.pids():
        raise MeasureError(f"says that process {pid!r} scores, which is none of its own")
    return pid
