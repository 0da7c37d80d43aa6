"""What is tried and what it gave, as values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, order=True)
class ServerSetup:
    """Settings of one server under trial.

    Attributes:
        workers: `--worker_count`.
        places: `--max_concurrent_requests`.
        batch: `--batch_max_size`, or 0 where the script does not batch.
    """

    workers: int = 1
    places: int = 1
    batch: int = 0

    @property
    def calls_at_once(self) -> int:
        """Requests that can be in `run()` at the same time."""
        return self.workers * self.places * max(1, self.batch)

    def options(self) -> list[str]:
        """The setup as options of the command line."""
        options = ["--worker_count", str(self.workers)]
        options += ["--max_concurrent_requests", str(self.places)]
        return [*options, "--batch_max_size", str(self.batch)] if self.batch else options


@dataclass(frozen=True)
class Load:
    """What the load client saw: answers of 200 a second, milliseconds, and other outcomes."""

    per_second: float
    p50_ms: float
    p99_ms: float
    answers: int
    failures: int


@dataclass(frozen=True)
class Trial:
    """One setup under so many clients; memory is that of all its processes, None when unknown."""

    setup: ServerSetup
    clients: int
    load: Load
    memory_mib: float | None

    def as_json(self) -> dict[str, Any]:
        """One flat object."""
        return {
            **asdict(self.setup),
            "clients": self.clients,
            **asdict(self.load),
            "memory_mib": self.memory_mib,
        }


def merged(trials: list[Trial]) -> list[Trial]:
    """One trial for each setup and number of clients; those that were repeated by their mean."""
    groups: dict[tuple[ServerSetup, int], list[Trial]] = {}
    for trial in trials:
        groups.setdefault((trial.setup, trial.clients), []).append(trial)
    return [_mean(group) for group in groups.values()]


def _mean(group: list[Trial]) -> Trial:
    loads = [trial.load for trial in group]
    memory = [trial.memory_mib for trial in group if trial.memory_mib is not None]
    count = len(group)
    return Trial(
        group[0].setup,
        group[0].clients,
        Load(
            sum(load.per_second for load in loads) / count,
            sum(load.p50_ms for load in loads) / count,
            sum(load.p99_ms for load in loads) / count,
            sum(load.answers for load in loads),
            sum(load.failures for load in loads),
        ),
        max(memory, default=None),
    )
