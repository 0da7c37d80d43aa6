"""Carries the plan out: one server after the other, within the time there is."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from inference_server.tuning.machine import free_memory_mib, usable_cpus
from inference_server.tuning.options import TuneOptions
from inference_server.tuning.plan import client_counts, limits_for, next_setup, to_repeat
from inference_server.tuning.script_facts import marks_batches
from inference_server.tuning.trial_server import TrialServer
from inference_server.tuning.trials import ServerSetup, Trial, merged

SHARE_TO_EXPLORE = 0.75
"""Of the budget; the rest is for a second look at the fastest setups."""

MEASUREMENTS = 40
"""So many share the budget, at least a shortest and at most a longest time each."""

SHORTEST_S, LONGEST_S = 0.3, 3.0
SLOWEST = 4.0
"""A slow script gets up to so many times the time, until it has given a few answers."""


class Sweep:
    """All trials of one call of the command.

    Args:
        options: What the user asked for.
        on_trial: Told of each trial.
    """

    def __init__(self, options: TuneOptions, on_trial: Callable[[Trial], None]) -> None:
        self._options = options
        self._on_trial = on_trial
        self._began = time.monotonic()
        self._seconds = min(LONGEST_S, max(SHORTEST_S, options.budget_s / MEASUREMENTS))
        self._trials: list[Trial] = []
        self._body = options.request_file.read_bytes()

    @property
    def trials(self) -> list[Trial]:
        """What is known so far, one trial for each setup and number of clients."""
        return merged(self._trials)

    @property
    def server_options(self) -> list[str]:
        """Options that all servers have in common."""
        return ["--entry_script", str(self._options.entry_script), *self._options.passed_on]

    def run(self) -> None:
        """Try setups until none is left that may be better, or the time is up.

        Raises:
            TuneError: The script cannot be served with any setup.
        """
        batches = self._options.batch or _can_batch(self._options.entry_script)
        limits = limits_for(usable_cpus(), batches=batches, pinned=self._options.pinned)
        worker_mib: float | None = None
        while (setup := next_setup(self.trials, limits)) is not None:
            if self._trials and self._time_left(SHARE_TO_EXPLORE) <= 0:
                break
            self._try(setup, SHARE_TO_EXPLORE)
            if worker_mib is None and self._trials[-1].memory_mib is not None:
                worker_mib = self._trials[-1].memory_mib / setup.workers
                limits = limits_for(
                    usable_cpus(), batches=batches, pinned=self._options.pinned,
                    worker_mib=worker_mib, free_mib=free_memory_mib(),
                )  # fmt: skip
        for setup in to_repeat(self.trials):
            if self._time_left() > self._seconds:
                self._try(setup, 1.0)

    def _time_left(self, share: float = 1.0) -> float:
        return self._began + share * self._options.budget_s - time.monotonic()

    def _try(self, setup: ServerSetup, share: float) -> None:
        options = self._options
        with TrialServer(setup, self.server_options) as server:
            server.check_answer(self._body, options.content_type)
            for clients in client_counts(setup):
                longest = max(self._seconds, min(SLOWEST * self._seconds, self._time_left()))
                load = server.put_under_load(
                    clients, self._seconds, longest, options.request_file, options.content_type
                )
                trial = Trial(setup, clients, load, server.memory_mib())
                self._trials.append(trial)
                self._on_trial(trial)
                if self._time_left(share) <= 0:
                    return


def _can_batch(script: Path) -> bool:
    from inference_server.settings import TABLE

    return any(row.name == "batch_max_size" for row in TABLE) and marks_batches(script)
