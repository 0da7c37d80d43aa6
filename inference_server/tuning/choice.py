"""Which trial to recommend, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inference_server.tuning.trials import Trial

TOLERANCE = 0.05
"""Requests per second that are so much apart count as the same."""


@dataclass(frozen=True)
class Choice:
    """The recommended trial and the reason in a sentence."""

    trial: Trial
    reason: str


def choose(trials: Sequence[Trial], target_p99_ms: float | None = None) -> Choice | None:
    """The smallest setup among the fastest; None when every trial had failures.

    Args:
        trials: One for each setup and number of clients.
        target_p99_ms: The 99th percentile that answers have to keep to.
    """
    good = [trial for trial in trials if not trial.load.failures and trial.load.answers]
    if not good:
        return None
    in_time = good
    if target_p99_ms is not None:
        in_time = [trial for trial in good if trial.load.p99_ms <= target_p99_ms]
        if not in_time:
            nearest = min(good, key=lambda trial: trial.load.p99_ms)
            return Choice(
                nearest, f"no setting kept p99 to {target_p99_ms:g} ms; this one comes nearest"
            )
    best = max(trial.load.per_second for trial in in_time)
    fast = [trial for trial in in_time if trial.load.per_second >= best * (1 - TOLERANCE)]
    chosen = min(fast, key=_size)
    what = f"the smallest setting within {TOLERANCE:.0%} of the most requests per second"
    if target_p99_ms is not None:
        what += f" at p99 <= {target_p99_ms:g} ms"
    return Choice(chosen, what)


def _size(trial: Trial) -> tuple[int, int, int, float]:
    setup = trial.setup
    return setup.workers, setup.calls_at_once, trial.clients, trial.memory_mib or 0.0
