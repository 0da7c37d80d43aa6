"""The order of a run, and its carrying out: round after round, each shuffled."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from benchmarks.environments import Installed
from benchmarks.errors import MeasureError
from benchmarks.results import Failure
from benchmarks.servers.base import Kind, Server
from benchmarks.workloads.base import Bench, Workload

MOST_FAILURES = 2
"""A trial that failed so often is not tried again."""


@dataclass(frozen=True)
class Trial:
    """One workload done once to one server that serves one kind of thing."""

    workload: Workload
    server: Server
    kind: Kind
    round: int

    @property
    def key(self) -> tuple[str, str, str]:
        """What it has in common with its repetitions."""
        return self.workload.name, self.server.name, self.kind.value

    def __str__(self) -> str:
        return f"round {self.round}: {self.workload.name} ({self.kind.value}) of {self.server.name}"


@dataclass
class Findings:
    """Samples by figure and server, and what gave none, while a run goes on."""

    samples: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    failures: dict[tuple[str, str, str], Failure] = field(default_factory=dict)

    def add(self, trial: Trial, figures: Mapping[str, float]) -> None:
        """Take the figures of a trial."""
        for name, value in figures.items():
            rounded = float(f"{value:.6g}")
            by_server = self.samples.setdefault(name, {})
            by_server.setdefault(trial.server.name, []).append(rounded)

    def fail(self, trial: Trial, reason: str) -> None:
        """Note that a trial gave none."""
        first_line = reason.splitlines()[0]
        known = self.failures.get(trial.key, Failure(*trial.key, first_line, times=0))
        self.failures[trial.key] = replace(known, times=known.times + 1)

    def is_hopeless(self, trial: Trial) -> bool:
        """Whether it failed often enough."""
        failure = self.failures.get(trial.key)
        return failure is not None and failure.times >= MOST_FAILURES

    def in_order(
        self, figures: Sequence[str], servers: Sequence[str]
    ) -> dict[str, dict[str, list[float]]]:
        """The samples as the tables have them, whatever order they were taken in."""
        return {
            figure: {s: self.samples[figure][s] for s in servers if s in self.samples[figure]}
            for figure in figures
            if figure in self.samples
        }


def plan(
    workloads: Sequence[Workload], servers: Sequence[Server], rounds: int, seed: int
) -> list[Trial]:
    """All trials of a run; each round is shuffled, so that drift hits all alike."""
    shuffle = random.Random(seed).shuffle
    trials: list[Trial] = []
    for number in range(1, rounds + 1):
        trials_of_round = [
            Trial(workload, server, kind, number)
            for workload in workloads
            if number <= workload.most_rounds
            for server in servers
            for kind in workload.kinds
            if kind in server.services and workload.suits(server, kind)
        ]
        shuffle(trials_of_round)
        trials += trials_of_round
    return trials


def carry_out(
    trials: Sequence[Trial],
    installed: Mapping[str, Installed],
    bench: Bench,
    say: Callable[[str], None],
) -> Findings:
    """Do all trials; one that fails is noted, and the run goes on."""
    findings = Findings()
    for number, trial in enumerate(trials, 1):
        if findings.is_hopeless(trial):
            continue
        say(f"[{number}/{len(trials)}] {trial}")
        try:
            figures = trial.workload.measure(installed[trial.server.name], trial.kind, bench)
        except (MeasureError, AssertionError, OSError) as error:
            say(f"  no figure: {error}")
            findings.fail(trial, str(error) or repr(error))
        else:
            findings.add(trial, figures)
    return findings
