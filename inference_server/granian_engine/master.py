"""The Granian engine's master: starts workers, replaces and reloads them, passes signals on."""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
import time
from collections import deque
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from inference_server.application import Application
from inference_server.errors import START_FAILED, StartError
from inference_server.granian_engine.worker import ScoringProcess, be_worker
from inference_server.scoreboard import Row, Scoreboard, WorkerState
from inference_server.settings import Settings
from inference_server.worker_pool import Fate, Role, WorkerPool
from inference_server.wsgi import leave

if TYPE_CHECKING:
    from inference_server.reload.reloads import Reloads

log = logging.getLogger("gunicorn.error")

TICK_S = 1.0
QUICK_EXIT_S = 1.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGCHLD)


class Master:
    """Runs until a signal ends it.

    Args:
        settings: The server's settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._scoreboard = Scoreboard(rows=2 * settings.worker_count + 32)
        self._reloads = _make_reloads() if settings.reload else None
        self._pool = WorkerPool(self._scoreboard, self._spawn, self._kill, self._reloads)
        self._preloaded: Application | None = None
        self._signals: deque[int] = deque()
        self._kill_at: float | None = None
        self._exit_code = 0
        self._lifeline, self._lifeline_end = os.pipe()
        self._wake_receiver, wake_sender = os.pipe()
        for end in (self._wake_receiver, wake_sender):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake_sender, warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, self._note_signal)

    def run(self) -> NoReturn:
        """Serve until a signal ends the server; exits the process."""
        host, port = self._settings.host, self._settings.port
        if self._settings.worker_preload:
            self._preload()
        log.info("Starting the Granian engine (pid %d)", os.getpid())
        log.info("Listening at: http://%s:%d", f"[{host}]" if ":" in host else host, port)
        while not self._is_finished():
            self._reap()
            self._handle_signals()
            if self._kill_at is None:
                self._pool.manage(self._settings.worker_count)
                self._replace_silent_workers()
            elif time.monotonic() >= self._kill_at:
                self._kill_all()
            if not self._is_finished():
                self._wait()
        log.info("Shut down")
        sys.exit(self._exit_code)

    def _is_finished(self) -> bool:
        return self._kill_at is not None and not self._pool.charges.by_pid

    def _preload(self) -> None:
        row = Scoreboard().take_row()
        self._preloaded = Application(self._settings, self._scoreboard, row, give_up=leave)
        try:
            self._preloaded.load(before_fork=True)
        except Exception:  # noqa: BLE001 - whatever it is, it has been logged for the user
            sys.exit(START_FAILED)

    # --- processes ---------------------------------------------------------------------------

    def _spawn(self, row: Row) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        master = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        try:
            self._become_worker()
            be_worker(
                ScoringProcess(
                    self._settings,
                    self._scoreboard,
                    row,
                    master=master,
                    lifeline=self._lifeline,
                    preloaded=self._preloaded,
                    board=self._reloads.board if self._reloads else None,
                )
            )
        except BaseException:
            log.critical("A worker could not be started", exc_info=True)
        finally:
            os._exit(1)

    def _become_worker(self) -> None:
        signal.set_wakeup_fd(-1)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        # Ctrl-C is for the master, which tells the workers.
        os.setpgid(0, 0)
        os.close(self._lifeline_end)

    def _kill(self, pid: int, sig: int) -> None:
        charge = self._pool.charges.by_pid[pid]
        targets = [pid]
        if sig == signal.SIGKILL and charge.row.pid:
            targets.append(charge.row.pid)
        for target in targets:
            _send(sig, target)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            try:
                self._pool.note_end(Fate.of(pid, status))
            except StartError as error:
                log.error("%s", error)
                self._exit_code = START_FAILED
                self._stop(signal.SIGTERM)

    def _replace_silent_workers(self) -> None:
        timeout_s = self._settings.worker_timeout
        for charge in self._pool.charges.in_role(Role.SERVING) if timeout_s else ():
            silent_s = time.monotonic() - charge.row.beat_at
            if charge.row.state is WorkerState.READY and silent_s > timeout_s:
                log.critical(
                    "Worker (pid:%s) was silent for %d s and is replaced", charge.row.pid, silent_s
                )
                self._kill(charge.pid, signal.SIGKILL)

    # --- signals -----------------------------------------------------------------------------

    def _note_signal(self, sig: int, frame: FrameType | None) -> None:
        self._signals.append(sig)

    def _wait(self) -> None:
        pause_s = self._pool.pause_s
        timeout_s = min(TICK_S, pause_s + 0.01) if pause_s > 0 else TICK_S
        if self._kill_at is not None:
            timeout_s = max(0.0, min(timeout_s, self._kill_at - time.monotonic()))
        if not self._signals and select.select([self._wake_receiver], [], [], timeout_s)[0]:
            os.read(self._wake_receiver, 4096)

    def _handle_signals(self) -> None:
        while self._signals:
            sig = self._signals.popleft()
            if sig == signal.SIGHUP:
                self._reload()
            elif sig != signal.SIGCHLD:
                log.info(
                    "Handling signal: %s", signal.Signals(sig).name.removeprefix("SIG").lower()
                )
                self._stop(sig)

    def _reload(self) -> None:
        log.info("Hang up: azmlinfsrv")
        if self._preloaded is not None:
            log.warning("WORKER_PRELOAD is on: SIGHUP starts new workers with the same script")
        self._pool.reload(self._settings.worker_count)

    def _stop(self, sig: int) -> None:
        """End all workers: SIGTERM lets them finish what is in flight, the others do not."""
        self._pool.retire_all()
        is_quick = sig != signal.SIGTERM
        wait_s = QUICK_EXIT_S if is_quick else self._settings.graceful_timeout
        self._kill_at = time.monotonic() + wait_s
        for charge in list(self._pool.charges.by_pid.values()):
            if is_quick and charge.row.pid:
                _send(signal.SIGUSR1, charge.row.pid)
            self._kill(charge.pid, signal.SIGTERM)

    def _kill_all(self) -> None:
        for pid in list(self._pool.charges.by_pid):
            self._kill(pid, signal.SIGKILL)
        self._kill_at = time.monotonic() + TICK_S


def _make_reloads() -> Reloads:
    from inference_server.reload.reloads import Reloads

    return Reloads(wake=lambda: os.kill(os.getpid(), signal.SIGCHLD))


def _send(sig: int, pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, sig)
