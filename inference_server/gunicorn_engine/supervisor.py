"""The gunicorn master, with a memory of how its workers fared.

gunicorn replaces dead workers at once and for ever, and a reload replaces good workers by whatever
comes up. Here a worker counts as new until it is ready: a first start that fails ends the server, a
replacement that fails is tried again with growing pauses, and a reload only takes over when all of
its workers are ready.
"""

from __future__ import annotations

import enum
import logging
import os
import signal
import time
from dataclasses import dataclass, field
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

from inference_server.application import Application
from inference_server.errors import START_FAILED
from inference_server.gunicorn_engine.worker import ScoringWorker
from inference_server.scoreboard import Row, Scoreboard, WorkerState

log = logging.getLogger("gunicorn.error")

MAX_FAILED_STARTS = 5
"""Starts in a row that may fail without any worker being ready; then the server ends."""

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
EARLY_DEATH_S = 1.0
"""A worker that dies so soon after it was ready is replaced after a pause, not at once."""


class Role(enum.Enum):
    """What the master wants of a worker."""

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
        oom = " Perhaps out of memory?" if self.signal == signal.SIGKILL else ""
        return f"was sent {name}!{oom}"


@dataclass
class Charge:
    """A worker as the master keeps it."""

    worker: Any
    row: Row
    role: Role = Role.SERVING
    was_ready: bool = False


@dataclass
class Charges:
    """All workers, by process id."""

    by_pid: dict[int, Charge] = field(default_factory=dict)

    def in_role(self, *roles: Role) -> list[Charge]:
        """Workers of some roles, oldest first."""
        found = [charge for charge in self.by_pid.values() if charge.role in roles]
        return sorted(found, key=lambda charge: charge.worker.age)

    @property
    def any_ready(self) -> bool:
        """Whether some worker can score."""
        return any(
            charge.row.state is WorkerState.READY
            for charge in self.in_role(Role.SERVING, Role.RETIRING)
        )


class Supervisor(Arbiter):
    """gunicorn's master with rolling reloads and pauses between failing starts."""

    def __init__(self, app: Any) -> None:
        self.scoreboard = Scoreboard(rows=2 * app.cfg.workers + 32)
        self.charges = Charges()
        self.restarts = Restarts()
        self.preloaded: Application | None = app.preload(self.scoreboard)
        super().__init__(app)

    # --- starting ----------------------------------------------------------------------------

    def spawn_worker(self) -> int:
        """Fork a worker with a row of the scoreboard."""
        row = self.scoreboard.take_row()
        ScoringWorker.scoreboard = self.scoreboard
        ScoringWorker.row = row
        ScoringWorker.preloaded = self.preloaded
        pid: int = super().spawn_worker()
        self.charges.by_pid[pid] = Charge(self.WORKERS[pid], row)
        return pid

    def manage_workers(self) -> None:
        """Bring the number of serving workers to what is wanted."""
        self._note_ready_workers()
        self._finish_reload()
        serving = self.charges.in_role(Role.SERVING)
        if time.monotonic() >= self.restarts.not_before:
            for _ in range(self.num_workers - len(serving)):
                self.spawn_worker()
        for charge in serving[: max(0, len(serving) - self.num_workers)]:
            self._retire(charge)

    def wait_for_signals(self, timeout: float | None = 1.0) -> list[int]:
        """Gunicorn's wait, cut short when a worker is due to be started."""
        pause = self.restarts.not_before - time.monotonic()
        if pause > 0:
            timeout = min(timeout or pause, pause + 0.01)
        return super().wait_for_signals(timeout)

    def _note_ready_workers(self) -> None:
        for charge in self.charges.by_pid.values():
            if not charge.was_ready and charge.row.state is WorkerState.READY:
                charge.was_ready = True
                if self.restarts.failed:
                    self.restarts.note_success()

    def _retire(self, charge: Charge, sig: int = signal.SIGTERM) -> None:
        charge.role = Role.RETIRING
        self.kill_worker(charge.worker.pid, sig)

    def stop(self, graceful: bool = True) -> None:
        """End all workers; from now on their ends are no surprise."""
        for charge in self.charges.by_pid.values():
            charge.role = Role.RETIRING
        super().stop(graceful)

    # --- ends of workers ---------------------------------------------------------------------

    def reap_workers(self) -> None:
        """Take note of every worker that has ended.

        Raises:
            HaltServer: The server cannot go on.
        """
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid == self.reexec_pid:
                self.reexec_pid = 0
                continue
            worker = self.WORKERS.pop(pid, None)
            charge = self.charges.by_pid.pop(pid, None)
            if worker is not None and charge is not None:
                self._note_end(charge, Fate.of(pid, status))

    def _note_end(self, charge: Charge, fate: Fate) -> None:
        state, ready_at = charge.row.state, charge.row.ready_at
        running, _ = charge.row.load
        inside = state is WorkerState.STARTING or running > 0
        where = f" It was in {charge.row.note}." if inside and charge.row.note else ""
        charge.worker.tmp.close()
        self.cfg.child_exit(self, charge.worker)
        charge.row.release()
        if fate.code != 0 and charge.role is not Role.RETIRING:
            log.error("Worker (pid:%s) %s%s", fate.pid, fate, where)
        if charge.role is Role.RETIRING:
            return
        if charge.role is Role.STANDBY:
            self._cancel_reload()
            return
        was_ready = charge.was_ready or state in (WorkerState.READY, WorkerState.STOPPING)
        if was_ready:
            charge.row.add_restart()
            if time.monotonic() - ready_at < EARLY_DEATH_S:
                # Something kills workers as soon as they are ready: do not keep the machine busy.
                self.restarts.not_before = time.monotonic() + FIRST_PAUSE_S
            return
        if fate.code == START_FAILED and not self._ever_ready:
            raise HaltServer("Worker failed to boot.", START_FAILED)
        self._note_failed_start(charge)

    @property
    def _ever_ready(self) -> bool:
        return any(row.ready_at > 0 for row in self.scoreboard)

    def _note_failed_start(self, charge: Charge) -> None:
        charge.row.add_restart()
        self.restarts.note_failure(time.monotonic())
        if self.restarts.failed >= MAX_FAILED_STARTS and not self.charges.any_ready:
            raise HaltServer(
                f"The worker ended {self.restarts.failed} times in a row while it was starting; "
                "the scoring script ends its process.",
                START_FAILED,
            )
        pause = self.restarts.not_before - time.monotonic()
        log.info("Starting a new worker in %.1f s (failed starts: %d)", pause, self.restarts.failed)

    # --- reload ------------------------------------------------------------------------------

    def handle_hup(self) -> None:
        """SIGHUP: start new workers; the old ones serve until all of the new ones are ready."""
        log.info("Hang up: %s", self.master_name)
        if self.preloaded is not None:
            log.warning("WORKER_PRELOAD is on: SIGHUP starts new workers with the same script")
        self._drop_standby()
        log.info("Reloading: the running workers keep serving until the new ones are ready")
        for _ in range(self.num_workers):
            self.charges.by_pid[self.spawn_worker()].role = Role.STANDBY

    def _finish_reload(self) -> None:
        standby = self.charges.in_role(Role.STANDBY)
        if not standby or not all(c.row.state is WorkerState.READY for c in standby):
            return
        for charge in self.charges.in_role(Role.SERVING):
            self._retire(charge)
        for charge in standby:
            charge.role = Role.SERVING
        log.info("Reloaded: the new workers have taken over")

    def _cancel_reload(self) -> None:
        log.error("Reload failed: the workers that were running keep serving the old script")
        self._drop_standby()

    def _drop_standby(self) -> None:
        for charge in self.charges.in_role(Role.STANDBY):
            # One that is ready has been serving beside the old workers.
            is_ready = charge.row.state is WorkerState.READY
            self._retire(charge, signal.SIGTERM if is_ready else signal.SIGKILL)
