"""D2: from saving an edit to the first answer of the new code."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.arrivals import even
from benchmarks.environments import Installed
from benchmarks.errors import MeasureError
from benchmarks.figures import Better, Figure
from benchmarks.offered import Due, End, Outcome, Plan
from benchmarks.open_loop import run
from benchmarks.peers.tasks import LOADING_S
from benchmarks.running import RunningServer
from benchmarks.servers.base import Kind, Server, Service
from benchmarks.workloads.base import Bench

TRICKLE_RATE = 20
LIMIT_S = 15.0
_EDIT_AT_S = 1.0
_SCRIPT = "loading.py"


@dataclass(frozen=True)
class Edit:
    """A change of one line, and what the service answers before and after it."""

    name: str
    title: str
    old: str
    new: str
    before: int
    after: int


EDITS = (
    Edit("body", "a function's body edited", "STATE * 10 + 1", "STATE * 10 + 2", 11, 12),
    Edit("state", "state of the module edited", "STATE = 1", "STATE = 2", 12, 22),
)


def _figures() -> list[Figure]:
    figures = []
    for edit in EDITS:
        figures += [
            Figure(
                f"D2-{edit.name}",
                f"Save to new answer, {edit.title}",
                "s",
                better=Better.LESS,
                digits=2,
                in_chart=True,
            ),
            Figure(
                f"D2-{edit.name}-failed",
                f"Failed requests, {edit.title}",
                "",
                f"of a trickle of {TRICKLE_RATE} per second",
                Better.LESS,
            ),
        ]
    return figures


@dataclass(frozen=True)
class Reload:
    """Two edits to a running service, one behind the other."""

    name: str = "D2"
    title: str = "D2: reload"
    about: str = (
        f"A model that takes {LOADING_S:g} s to load, served with the server's own reload option; "
        "its file is edited while requests trickle in.\n"
        "The reference and the servers that are not shown have none."
    )
    kinds: Sequence[Kind] = (Kind.LOADING,)
    figures: Sequence[Figure] = tuple(_figures())
    most_rounds: int = 1

    def suits(self, server: Server, kind: Kind) -> bool:
        """Any server that can reload."""
        return True

    def measure(self, installed: Installed, kind: Kind, bench: Bench) -> Mapping[str, float]:
        """See `Workload.measure`."""
        found: dict[str, float] = {}
        with RunningServer(installed, kind, bench.cores.server) as server:
            server.wait_for_answer()
            for edit in EDITS:
                seconds, failed = _measure(server, edit)
                found[f"D2-{edit.name}"] = seconds
                found[f"D2-{edit.name}-failed"] = failed
            server.kill()
        return found


def _measure(server: RunningServer, edit: Edit) -> tuple[float, int]:
    script = server.cwd / _SCRIPT
    saved: list[float] = []
    begin = time.perf_counter()

    def save() -> None:
        _replace(script, edit)
        saved.append(time.perf_counter() - begin)

    def is_new(outcome: Outcome) -> bool:
        return bool(saved) and outcome.is_ok and value_of(server.service, outcome) == edit.after

    trickle = [Due(at) for at in even(TRICKLE_RATE, _EDIT_AT_S + LIMIT_S)]
    plan = Plan(
        trickle,
        {"score": server.scoring_request.encoded(keep_alive=False)},
        timeout_s=LIMIT_S,
        deeds=[(_EDIT_AT_S, save)],
        until=is_new,
    )
    outcomes = run(server.port, plan).outcomes
    answer = next(filter(is_new, outcomes), None)
    if answer is None:
        raise MeasureError(f"no new answer within {LIMIT_S:g} s after {edit.title}")
    return answer.ended_at - saved[0], failures(outcomes)


def failures(outcomes: Sequence[Outcome]) -> int:
    """Requests that got no answer of status 200, those aside that were still open."""
    return sum(1 for o in outcomes if o.end is not End.CUT_OFF and not o.is_ok)


def value_of(service: Service, outcome: Outcome) -> object:
    """The value in an answer, or `None`."""
    try:
        return service.value(outcome.body)
    except ValueError:
        return None


def _replace(script: Path, edit: Edit) -> None:
    """Save as editors do: a new file in the old one's place."""
    source = script.read_text()
    if edit.old not in source:
        raise MeasureError(f"{script.name} does not hold `{edit.old}`")
    new = script.with_suffix(".new")
    new.write_text(source.replace(edit.old, edit.new))
    new.replace(script)
