"""The worker processes of a server and their replacement, whichever engine starts them.

A worker counts as new until it is ready: a first start that fails ends the server, a replacement
that fails is tried again with growing pauses, and a reload only takes over when all of its workers
are ready.
"""

from __future__ import annotations

import enum
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inference_server.errors import START_FAILED, StartError
from inference_server.scoreboard import Row, Scoreboard, WorkerState

if TYPE_CHECKING:
    from inference_server.reload.reloads import Reloads

log = logging.getLogger("gunicorn.error")

MAX_FAILED_STARTS = 5
"""Starts in a row that may fail without any worker being ready; then the server ends."""

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
EARLY_DEATH_S = 1.0
"""A worker that dies so soon after it was ready is replaced after a pause, not at once."""

KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


class Role(enum.Enum):
    """What is wanted of a worker."""

    SERVING = "serving"
    STANDBY = "standby"
    RETIRING = "retiring"


@dataclass
class Restarts:
    """How often starts failed lately, and when the next one may be."""

    failed: int = 0
    not_before: float = 0.0

    def note_failure(self, now: float) -> None:
        """A start failed: the next one waits twice as long as this one did."""
        self.failed += 1
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (self.failed - 1))
        self.not_before = now + pause

    def note_success(self) -> None:
        """A worker is ready."""
        self.failed = 0
        self.not_before = 0.0


@dataclass
class Fate:
    """How a worker process ended."""

    pid: int
    code: int | None
    signal: int | None

    @classmethod
    def of(cls, pid: int, status: int) -> Fate:
        """Read the status of `os.waitpid`."""
        if os.WIFSIGNALED(status):
            return cls(pid, None, os.WTERMSIG(status))
        return cls(pid, os.WEXITSTATUS(status), None)

    def __str__(self) -> str:
        if self.signal is None:
            return f"exited with code {self.code}."
        try:
            name = signal.Signals(self.signal).name
        except ValueError:
            name = f"signal {self.signal}"
        oom = " Perhaps out of memory?" if self.signal == KILL else ""
        return f"was sent {name}!{oom}"


@dataclass
class Charge:
    """A worker as its master keeps it."""

    pid: int
    row: Row
    role: Role = Role.SERVING
    was_ready: bool = False


@dataclass
class Charges:
    """All workers, by process id, oldest first."""

    by_pid: dict[int, Charge] = field(default_factory=dict)

    def in_role(self, *roles: Role) -> list[Charge]:
        """Workers of some roles, oldest first."""
        return [charge for charge in self.by_pid.values() if charge.role in roles]

    @property
    def any_ready(self) -> bool:
        """Whether some worker can score."""
        return any(
            charge.row.state is WorkerState.READY
            for charge in self.in_role(Role.SERVING, Role.RETIRING)
        )


class WorkerPool:
    """Starts, replaces and reloads workers.

    Args:
        scoreboard: Where workers say how they are.
        spawn: Starts a worker process with a row of the scoreboard; returns its process id.
        kill: Sends a worker a signal.
        reloads: What workers report about saves; None where saves are not followed.
    """

    def __init__(
        self,
        scoreboard: Scoreboard,
        spawn: Callable[[Row], int],
        kill: Callable[[int, int], object],
        reloads: Reloads | None = None,
    ) -> None:
        self.scoreboard = scoreboard
        self.charges = Charges()
        self.restarts = Restarts()
        self._spawn = spawn
        self._kill = kill
        self._reloads = reloads

    @property
    def pause_s(self) -> float:
        """Seconds until a worker that is due may be started; 0 or less for now."""
        return self.restarts.not_before - time.monotonic()

    def manage(self, size: int) -> None:
        """Bring the number of serving workers to what is wanted."""
        self._note_ready_workers()
        self._finish_reload()
        if self._reloads is not None:
            if self._reloads.forks_must_wait():
                return
            self._follow_saves(self._reloads, size)
        serving = self.charges.in_role(Role.SERVING)
        if self.pause_s <= 0:
            for _ in range(size - len(serving)):
                self.start_worker()
        for charge in serving[: max(0, len(serving) - size)]:
            self.retire(charge)

    def start_worker(self, role: Role = Role.SERVING) -> Charge:
        """Start a worker."""
        if self._reloads is not None:
            self._reloads.wait_for_imports()
        row = self.scoreboard.take_row()
        charge = Charge(self._spawn(row), row, role)
        self.charges.by_pid[charge.pid] = charge
        return charge

    def retire(self, charge: Charge, sig: int = signal.SIGTERM) -> None:
        """Tell a worker to end; whether it does so well no longer matters."""
        charge.role = Role.RETIRING
        self._kill(charge.pid, sig)

    def retire_all(self) -> None:
        """From now on the ends of workers are no surprise."""
        for charge in self.charges.by_pid.values():
            charge.role = Role.RETIRING

    def _note_ready_workers(self) -> None:
        for charge in self.charges.by_pid.values():
            if not charge.was_ready and charge.row.state is WorkerState.READY:
                charge.was_ready = True
                if self.restarts.failed:
                    self.restarts.note_success()

    # --- ends of workers ---------------------------------------------------------------------

    def note_end(self, fate: Fate) -> None:
        """Decide what follows from the end of a worker.

        Raises:
            StartError: The server cannot go on.
        """
        charge = self.charges.by_pid.pop(fate.pid, None)
        if charge is None:
            return
        state, ready_at, pids = charge.row.state, charge.row.ready_at, {fate.pid, charge.row.pid}
        running, _ = charge.row.load
        inside = state is WorkerState.STARTING or running > 0
        where = f" It was in {charge.row.note}." if inside and charge.row.note else ""
        charge.row.release()
        if fate.code != 0 and charge.role is not Role.RETIRING:
            log.error("Worker (pid:%s) %s%s", fate.pid, fate, where)
        if charge.role is Role.RETIRING:
            return
        if charge.role is Role.STANDBY:
            self._cancel_reload(pids, f"the new worker {fate}{where}")
            return
        was_ready = charge.was_ready or state in (WorkerState.READY, WorkerState.STOPPING)
        if was_ready:
            charge.row.add_restart()
            if time.monotonic() - ready_at < EARLY_DEATH_S:
                # Something kills workers as soon as they are ready: do not keep the machine busy.
                self.restarts.not_before = time.monotonic() + FIRST_PAUSE_S
            return
        if fate.code == START_FAILED and not self._ever_ready:
            raise StartError("Worker failed to boot.")
        self._note_failed_start(charge)

    @property
    def _ever_ready(self) -> bool:
        return any(row.ready_at > 0 for row in self.scoreboard)

    def _note_failed_start(self, charge: Charge) -> None:
        charge.row.add_restart()
        self.restarts.note_failure(time.monotonic())
        if self.restarts.failed >= MAX_FAILED_STARTS and not self.charges.any_ready:
            raise StartError(
                f"The worker ended {self.restarts.failed} times in a row while it was starting; "
                "the scoring script ends its process."
            )
        log.info(
            "Starting a new worker in %.1f s (failed starts: %d)",
            self.pause_s,
            self.restarts.failed,
        )

    # --- reload ------------------------------------------------------------------------------

    def reload(self, size: int) -> None:
        """Start new workers; the old ones serve until all of the new ones are ready."""
        log.info("Reloading: the running workers keep serving until the new ones are ready")
        self._start_standby(size)

    def _start_standby(self, size: int) -> None:
        self._drop_standby()
        for _ in range(size):
            self.start_worker(Role.STANDBY)

    def _follow_saves(self, reloads: Reloads, size: int) -> None:
        """Do what workers that saw a save ask for."""
        request = reloads.next_request()
        if request is not None and request.reason is not None:
            self._start_standby(size)
        elif request is not None:
            self._drop_standby()

    def _finish_reload(self) -> None:
        standby = self.charges.in_role(Role.STANDBY)
        if not standby or not all(c.row.state is WorkerState.READY for c in standby):
            return
        for charge in self.charges.in_role(Role.SERVING):
            self.retire(charge)
        for charge in standby:
            charge.role = Role.SERVING
        if self._reloads is not None:
            self._reloads.note_success()
        log.info("Reloaded: the new workers have taken over")

    def _cancel_reload(self, pids: set[int], why: str) -> None:
        if self._reloads is None:
            log.error("Reload failed: the workers that were running keep serving the old script")
        else:
            self._reloads.note_failure(pids, why)
        self._drop_standby()

    def _drop_standby(self) -> None:
        for charge in self.charges.in_role(Role.STANDBY):
            # One that is ready has been serving beside the old workers.
            is_ready = charge.row.state is WorkerState.READY
            self.retire(charge, signal.SIGTERM if is_ready else KILL)
