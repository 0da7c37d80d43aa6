"""P1: a scikit-learn classifier under 300 users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.environments import Installed
from benchmarks.figures import Better, Figure
from benchmarks.running import RunningServer
from benchmarks.servers.base import Kind, Server
from benchmarks.workloads.base import Bench

USERS = 300
_PROFILES = {Kind.IRIS: "default", Kind.IRIS_TUNED: "tuned"}


def _figures() -> list[Figure]:
    figures = []
    for profile in _PROFILES.values():
        figures += [
            Figure(
                f"P1-rate-{profile}",
                f"Served, {profile} profile",
                "requests per second",
                in_chart=True,
            ),
            Figure(
                f"P1-p99-{profile}",
                f"Slowest 1 %, {profile} profile",
                "ms",
                "left out where requests were refused, for a refusal is quick",
                Better.LESS,
            ),
            Figure(
                f"P1-refused-{profile}",
                f"Refused, {profile} profile",
                "%",
                "share of the answers that were not 200",
                Better.LESS,
                digits=1,
            ),
        ]
    return figures


@dataclass(frozen=True)
class Iris:
    """A closed loop over 300 connections."""

    name: str = "P1"
    title: str = "P1: iris classifier"
    about: str = (
        f"A logistic regression of scikit-learn, loaded with joblib, asked for one row by {USERS} "
        "users at once (closed loop; the payload of MLServer's own benchmark).\n"
        "Each server with its documented defaults, and tuned by its own documentation where that "
        "says how."
    )
    kinds: Sequence[Kind] = tuple(_PROFILES)
    figures: Sequence[Figure] = tuple(_figures())
    most_rounds: int = 1000

    def suits(self, server: Server, kind: Kind) -> bool:
        """Any server."""
        return True

    def measure(self, installed: Installed, kind: Kind, bench: Bench) -> Mapping[str, float]:
        """See `Workload.measure`."""
        with RunningServer(installed, kind, bench.cores.server) as server:
            server.wait_for_answer()
            bench.client.run(server.port, server.scoring_request, USERS, bench.warm_up_s)
            load = bench.client.run(server.port, server.scoring_request, USERS, bench.seconds)
            server.check_answer()
            server.kill()
        profile = _PROFILES[kind]
        found = {f"P1-rate-{profile}": load.rate, f"P1-refused-{profile}": load.refused_percent}
        return found if load.refused else {**found, f"P1-p99-{profile}": load.p99_ms}
