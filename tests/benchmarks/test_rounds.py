"""The order of a run, and what becomes of trials that fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.closed_loop import StdlibClient
from benchmarks.environments import Installed
from benchmarks.errors import MeasureError
from benchmarks.machine import Cores
from benchmarks.rounds import carry_out, plan
from benchmarks.servers import SERVERS, Kind, Server
from benchmarks.workloads import WORKLOADS, Bench
from benchmarks.workloads.overhead import Overhead

BENCH = Bench(StdlibClient(), Cores(None, None), 1, 1, 9, 1)
INSTALLED = {server.name: Installed(server, Path()) for server in SERVERS}


@dataclass(frozen=True)
class Counting(Overhead):
    """A workload that needs no server: it fails for those it was told to fail for."""

    name: str = "P0"
    most_rounds: int = 3
    broken: tuple[str, ...] = ()
    tried: list[str] = field(default_factory=list)

    def measure(self, installed: Installed, kind: Kind, bench: Bench) -> Mapping[str, float]:
        self.tried.append(installed.server.name)
        if installed.server.name in self.broken:
            raise MeasureError("is broken\nits log")
        return {"P0-rate-32": float(len(self.tried))}


def test_a_plan_has_every_trial_in_each_round_up_to_the_workload_s_last():
    trials = plan([Counting(most_rounds=2)], SERVERS, rounds=3, seed=1)

    for number in (1, 2):
        of_round = [trial.server.name for trial in trials if trial.round == number]
        assert sorted(of_round) == sorted(server.name for server in SERVERS)
    assert {trial.round for trial in trials} == {1, 2}


def test_a_plan_is_shuffled_and_repeatable():
    orders = [
        [trial.server.name for trial in plan([Counting()], SERVERS, rounds=1, seed=seed)]
        for seed in (1, 1, 2)
    ]

    assert orders[0] == orders[1] != orders[2]


def test_servers_are_only_asked_for_what_they_serve():
    trials = plan(WORKLOADS, SERVERS, rounds=1, seed=1)

    assert all(trial.kind in trial.server.services for trial in trials)
    measured = {(trial.workload.name, trial.server.name) for trial in trials}
    assert ("P2", "reference") in measured
    assert ("D2", "reference") not in measured
    assert ("P1", "granian") not in measured
    assert ("P3", "granian") in measured


def servers(*names: str) -> list[Server]:
    return [server for server in SERVERS if server.name in names]


def test_a_run_goes_on_behind_a_trial_that_fails_and_gives_it_up_in_the_end():
    workload = Counting(broken=("litserve",))
    said: list[str] = []
    trials = plan([workload], servers("azml", "litserve"), rounds=3, seed=1)

    findings = carry_out(trials, INSTALLED, BENCH, said.append)

    assert len(findings.samples["P0-rate-32"]["azml"]) == 3
    (failure,) = findings.failures.values()
    assert (failure.workload, failure.server, failure.kind) == ("P0", "litserve", "no-op")
    assert (failure.reason, failure.times) == ("is broken", 2)
    assert workload.tried.count("litserve") == 2
    assert any("its log" in line for line in said)


def test_samples_are_kept_in_the_order_of_the_tables():
    trials = plan([Counting()], servers("azml", "bentoml"), rounds=2, seed=4)

    findings = carry_out(trials, INSTALLED, BENCH, lambda text: None)
    ordered = findings.in_order(["P0-rate-1", "P0-rate-32"], ["azml", "bentoml"])

    assert list(ordered) == ["P0-rate-32"]
    assert list(ordered["P0-rate-32"]) == ["azml", "bentoml"]
