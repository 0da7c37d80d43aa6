"""The gunicorn master, with a memory of how its workers fared.

gunicorn replaces dead workers at once and for ever, and a reload replaces good workers by whatever
comes up. Here a `WorkerPool` decides instead.
"""

from __future__ import annotations

import logging
import os
import signal
from typing import TYPE_CHECKING, Any

from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

from inference_server.application import Application
from inference_server.errors import START_FAILED, StartError
from inference_server.gunicorn_engine.worker import ScoringWorker
from inference_server.scoreboard import Row, Scoreboard
from inference_server.worker_pool import Fate, WorkerPool

if TYPE_CHECKING:
    from inference_server.reload.reloads import Reloads

log = logging.getLogger("gunicorn.error")


class Supervisor(Arbiter):
    """gunicorn's master with rolling reloads and pauses between failing starts."""

    def __init__(self, app: Any) -> None:
        self.scoreboard = Scoreboard(rows=2 * app.cfg.workers + 32)
        self.reloads = self._make_reloads() if app.settings.reload else None
        self.pool = WorkerPool(self.scoreboard, self._spawn_with, self.kill_worker, self.reloads)
        self.preloaded: Application | None = app.preload(self.scoreboard)
        super().__init__(app)

    def _make_reloads(self) -> Reloads:
        from inference_server.reload.reloads import Reloads

        return Reloads(wake=lambda: os.kill(os.getpid(), signal.SIGCHLD))

    # --- starting ----------------------------------------------------------------------------

    def _spawn_with(self, row: Row) -> int:
        ScoringWorker.scoreboard = self.scoreboard
        ScoringWorker.row = row
        ScoringWorker.preloaded = self.preloaded
        ScoringWorker.board = self.reloads.board if self.reloads else None
        pid: int = self.spawn_worker()
        return pid

    def manage_workers(self) -> None:
        """Bring the number of serving workers to what is wanted."""
        self.pool.manage(self.num_workers)

    def wait_for_signals(self, timeout: float | None = 1.0) -> list[int]:
        """Gunicorn's wait, cut short when a worker is due to be started."""
        pause = self.pool.pause_s
        if pause > 0:
            timeout = min(timeout or pause, pause + 0.01)
        return super().wait_for_signals(timeout)

    def stop(self, graceful: bool = True) -> None:
        """End all workers; from now on their ends are no surprise."""
        listens_alone = self.reexec_pid == self.master_pid == 0 and not self.systemd
        if graceful and listens_alone and self.LISTENERS:
            # ctypes takes longer to import than the rest of the end.
            from inference_server.gunicorn_engine.last_clients import keep_new_clients_out

            keep_new_clients_out(self.LISTENERS)
        self.pool.retire_all()
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
            if worker is None:
                continue
            worker.tmp.close()
            self.cfg.child_exit(self, worker)
            try:
                self.pool.note_end(Fate.of(pid, status))
            except StartError as error:
                raise HaltServer(str(error), START_FAILED) from None

    # --- reload ------------------------------------------------------------------------------

    def handle_hup(self) -> None:
        """SIGHUP: start new workers; the old ones serve until all of the new ones are ready."""
        log.info("Hang up: %s", self.master_name)
        if self.preloaded is not None:
            log.warning("WORKER_PRELOAD is on: SIGHUP starts new workers with the same script")
        self.pool.reload(self.num_workers)
