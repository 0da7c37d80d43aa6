"""What to try next: each setting is doubled while that pays, then looked at more closely.

Threads come first, as they cost the least memory, then batches, then worker processes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from inference_server.tuning.trials import ServerSetup, Trial

GAIN = 1.05
"""A larger setting has to give so many times the requests per second to be worth going on."""

MAX_CLIENTS = 64
MAX_PLACES = 32
MAX_BATCH = 64
MEMORY_SHARE = 0.8
"""Of the memory that is free, what the workers may take."""


@dataclass(frozen=True)
class Limits:
    """The largest values to try; where least and largest are the same, the user has chosen."""

    least: ServerSetup
    largest: ServerSetup

    def __contains__(self, setup: ServerSetup) -> bool:
        return all(
            low <= value <= high
            for low, value, high in zip(
                _values(self.least), _values(setup), _values(self.largest), strict=True
            )
        )


def _values(setup: ServerSetup) -> tuple[int, int, int]:
    return setup.workers, setup.places, setup.batch


_STEPS = ("places", "batch", "workers")


def limits_for(
    cpus: int, *, batches: bool, pinned: Mapping[str, int], worker_mib: float | None = None,
    free_mib: float | None = None,
) -> Limits:  # fmt: skip
    """The limits of this machine and script.

    Args:
        cpus: Processors that the server may use.
        batches: Whether batch sizes can be tried.
        pinned: Fields of `ServerSetup` that the user has set.
        worker_mib: Memory of one worker, once it is known.
        free_mib: Memory that is free on this machine.
    """
    workers = max(1, cpus)
    if worker_mib and free_mib:
        workers = max(1, min(workers, int(free_mib * MEMORY_SHARE / worker_mib)))
    least = ServerSetup(batch=1 if batches else 0)
    largest = ServerSetup(workers, MAX_PLACES, MAX_BATCH if batches else 0)
    return Limits(replace(least, **pinned), replace(largest, **pinned))


def client_counts(setup: ServerSetup) -> list[int]:
    """Numbers of clients to try a setup with: one, as many as it serves at once, and twice that."""
    at_once = setup.calls_at_once
    return sorted({min(count, MAX_CLIENTS) for count in (1, at_once, 2 * at_once)})


def next_setup(trials: Sequence[Trial], limits: Limits) -> ServerSetup | None:
    """The setup to try next, or None when nothing is left that may be better."""
    speeds = _speeds(trials)
    best = limits.least
    if best not in speeds:
        return best
    for step in _STEPS:
        while True:
            larger = replace(best, **{step: max(1, getattr(best, step)) * 2})
            if larger not in limits:
                larger = replace(best, **{step: getattr(limits.largest, step)})
            if larger == best:
                break
            if larger not in speeds:
                return larger
            if speeds[larger] < speeds[best] * GAIN:
                break
            best = larger
    return next((setup for setup in _between(best, limits) if setup not in speeds), None)


def _between(best: ServerSetup, limits: Limits) -> list[ServerSetup]:
    """Setups halfway to the neighbours that doubling and halving reach."""
    found = []
    for step in _STEPS:
        value = getattr(best, step)
        for near in (value - value // 4, value + value // 2):
            setup = replace(best, **{step: near})
            if near != value and setup in limits:
                found.append(setup)
    return found


def to_repeat(trials: Sequence[Trial], count: int = 3) -> list[ServerSetup]:
    """The fastest setups, which are worth a second look as figures vary."""
    speeds = _speeds(trials)
    return sorted(speeds, key=lambda setup: -speeds[setup])[:count]


def _speeds(trials: Sequence[Trial]) -> dict[ServerSetup, float]:
    speeds: dict[ServerSetup, float] = {}
    for trial in trials:
        speed = 0.0 if trial.load.failures else trial.load.per_second
        speeds[trial.setup] = max(speed, speeds.get(trial.setup, 0.0))
    return speeds
