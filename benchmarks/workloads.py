"""What is done to each server, and the figures that come of it."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.errors import MeasureError
from benchmarks.figures import Figure, Target
from benchmarks.load import Client, Load, StdlibClient
from benchmarks.machine import MIB, Cores, has_proc, memory_of, processor_seconds
from benchmarks.running import RunningServer, help_seconds
from benchmarks.servers import Installed, Server

REQUESTS_BEFORE_MEMORY = 1_000
_MEMORY_CONNECTIONS = 4
_MEMORY_LOAD_S = 60.0


@dataclass(frozen=True)
class Bench:
    """What all workloads of a run share.

    Attributes:
        client: Makes the load.
        cores: Where servers and client run.
        seconds: Length of one measurement under load.
    """

    client: Client
    cores: Cores
    seconds: int

    @property
    def warm_up_s(self) -> int:
        """Seconds of load that precede a measurement."""
        return max(1, round(self.seconds * 0.3))


class Workload(Protocol):
    """One thing done to a server."""

    @property
    def name(self) -> str:
        """What `--only` calls it."""

    @property
    def per_round(self) -> int:
        """Samples taken of each server in a round."""

    @property
    def figures(self) -> Sequence[Figure]:
        """What it measures."""

    def suits(self, server: Server) -> bool:
        """Whether it can be done to this server, here."""

    def measure(self, installed: Installed, bench: Bench) -> Mapping[str, float]:
        """Take one sample of each figure, by name.

        Raises:
            MeasureError: The server did not do what is needed.
        """


@dataclass(frozen=True)
class Throughput:
    """A closed loop of no-op requests; without `keep_alive` on a new connection for each."""

    connections: int
    target: Target | None = None
    keep_alive: bool = True
    per_round: int = 1

    @property
    def name(self) -> str:
        """For `--only`."""
        return f"throughput-{self._key}"

    @property
    def _key(self) -> str:
        return f"{self.connections}{'' if self.keep_alive else '-closing'}"

    @property
    def figures(self) -> Sequence[Figure]:
        """Rate, latency and processor time."""
        c = self._key
        at = f"{self.connections} connection{'s' if self.connections > 1 else ''}"
        if not self.keep_alive:
            at += ", closed behind each answer"
        return (
            Figure(
                f"rate-{c}", f"No-op requests at {at}", "per second",
                "requests answered in the measured time, closed loop, behind a warm-up",
                self.target, topic="No-op requests",
            ),
            Figure(
                f"p99-{c}", f"Slowest 1 % at {at}", "ms",
                "99th percentile of the time from a request to its answer, in the same loop",
                digits=2, topic="Slowest 1 %",
            ),
            Figure(
                f"cpu-{c}", f"Processor time per request at {at}", "µs",
                "user and system time of the server's processes in the same loop, divided by the "
                "requests; suffers less from other programs than the rate does",
                topic="Processor time per request",
            ),
        )  # fmt: skip

    def suits(self, server: Server) -> bool:
        """Any server."""
        return True

    def measure(self, installed: Installed, bench: Bench) -> Mapping[str, float]:
        """See `Workload.measure`."""
        with RunningServer(installed, bench.cores.server) as server:
            server.wait_for_answer()
            self._load(server, bench, bench.warm_up_s)
            pids = server.pids() if has_proc() else []
            before = processor_seconds(pids)
            load = self._load(server, bench, bench.seconds)
            used = processor_seconds(pids) - before
            server.kill()
        c = self._key
        figures = {f"rate-{c}": load.rate, f"p99-{c}": load.p99_ms}
        return {**figures, f"cpu-{c}": used / load.requests * 1e6} if pids else figures

    def _load(self, server: RunningServer, bench: Bench, seconds: int) -> Load:
        return bench.client.run(server.port, self.connections, seconds, keep_alive=self.keep_alive)


@dataclass(frozen=True)
class FirstAnswer:
    """A start, up to the first scoring answer."""

    name: str = "start"
    per_round: int = 3

    @property
    def figures(self) -> Sequence[Figure]:
        """Its length."""
        return (
            Figure(
                "start", "Command to first answer", "ms",
                "from starting the command to the end of the first answer 200 of `/score`, asked "
                "for every millisecond until then; standard output and error go to files",
                Target(0.8, at_least=False),
            ),
        )  # fmt: skip

    def suits(self, server: Server) -> bool:
        """Any server."""
        return True

    def measure(self, installed: Installed, bench: Bench) -> Mapping[str, float]:
        """See `Workload.measure`."""
        with RunningServer(installed, bench.cores.server) as server:
            seconds = server.wait_for_answer()
            server.kill()
        return {"start": seconds * 1000}


@dataclass(frozen=True)
class WorkerMemory:
    """The memory of a server that has worked a little."""

    name: str = "memory"
    per_round: int = 1

    @property
    def figures(self) -> Sequence[Figure]:
        """Worker and master, by both measures."""
        after = (
            f"after {REQUESTS_BEFORE_MEMORY:,} requests on {_MEMORY_CONNECTIONS} connections; RSS "
            "counts resident pages in full, PSS divides each by the processes that share it"
        )
        promised = Target(1.0, at_least=False)
        return (
            _memory("worker-pss", "Memory of the worker, PSS", after, promised),
            _memory("worker-rss", "Memory of the worker, RSS", after, promised),
            _memory("master-pss", "Memory of the master, PSS", after),
            _memory("master-rss", "Memory of the master, RSS", after),
            _memory("total-pss", "Memory of both, PSS", after),
        )

    def suits(self, server: Server) -> bool:
        """Any server, on Linux."""
        return has_proc()

    def measure(self, installed: Installed, bench: Bench) -> Mapping[str, float]:
        """See `Workload.measure`."""
        count = REQUESTS_BEFORE_MEMORY
        with RunningServer(installed, bench.cores.server) as server:
            server.wait_for_answer()
            load = StdlibClient().send(server.port, _MEMORY_CONNECTIONS, _MEMORY_LOAD_S, count)
            if load.requests != count:
                raise MeasureError(f"{load.requests} of {count} requests were answered in time")
            workers = server.worker_pids()
            if len(workers) != 1:
                raise MeasureError(f"has {len(workers)} worker processes instead of one")
            worker, master = memory_of(workers), memory_of([server.pid])
            server.kill()
        return {
            "worker-pss": worker.pss / MIB,
            "worker-rss": worker.rss / MIB,
            "master-pss": master.pss / MIB,
            "master-rss": master.rss / MIB,
            "total-pss": (worker.pss + master.pss) / MIB,
        }


def _memory(name: str, title: str, how: str, target: Target | None = None) -> Figure:
    return Figure(name, title, "MiB", how, target, digits=1, topic="Memory")


@dataclass(frozen=True)
class Help:
    """`--help`."""

    name: str = "help"
    per_round: int = 3

    @property
    def figures(self) -> Sequence[Figure]:
        """Its length."""
        how = "from starting the command to its end"
        return (Figure("help", "`--help`", "ms", how),)

    def suits(self, server: Server) -> bool:
        """Servers that are commands for users."""
        return server.is_toolkit

    def measure(self, installed: Installed, bench: Bench) -> Mapping[str, float]:
        """See `Workload.measure`."""
        with tempfile.TemporaryDirectory() as home:
            return {"help": help_seconds(installed, bench.cores.server, Path(home)) * 1000}


WORKLOADS: tuple[Workload, ...] = (
    Throughput(32, Target(3.0, at_least=True)),
    Throughput(1, Target(2.2, at_least=True)),
    Throughput(32, keep_alive=False),
    Throughput(1, keep_alive=False),
    FirstAnswer(),
    WorkerMemory(),
    Help(),
)


@dataclass(frozen=True)
class Trial:
    """One workload done once to one server."""

    workload: Workload
    server: Server
    round: int


def plan(
    workloads: Sequence[Workload], servers: Sequence[Server], rounds: int, seed: int
) -> list[Trial]:
    """All trials of a run: round after round, each shuffled, so that drift hits all alike."""
    shuffle = random.Random(seed).shuffle
    trials: list[Trial] = []
    for number in range(1, rounds + 1):
        trials_of_round = [
            Trial(workload, server, number)
            for workload in workloads
            for server in servers
            if workload.suits(server)
            for _ in range(workload.per_round)
        ]
        shuffle(trials_of_round)
        trials += trials_of_round
    return trials
