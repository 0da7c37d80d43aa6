"""The gunicorn worker: the main thread runs the scoring script, a second one the HTTP loop."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import TYPE_CHECKING, Any

from gunicorn.workers.base import Worker

from inference_server.application import Application
from inference_server.config_file import load_settings
from inference_server.debugger import connect_to_debugger
from inference_server.errors import START_FAILED, STUCK
from inference_server.gunicorn_engine.http_loop import HttpLoop, LoopHooks
from inference_server.scoreboard import Row, Scoreboard, WorkerState
from inference_server.settings import Settings

if TYPE_CHECKING:
    from inference_server.reload.noticeboard import Noticeboard
    from inference_server.reload.reloader import Reloader

log = logging.getLogger("gunicorn.error")

QUICK_EXIT_S = 0.5


class ScoringWorker(Worker):
    """One process with one copy of the model.

    The master sets `row`, `scoreboard`, `preloaded` and `board` (to reload on save) before it
    forks.
    """

    scoreboard: Scoreboard
    row: Row
    preloaded: Application | None = None
    board: Noticeboard | None = None
    loop: HttpLoop | None = None
    _quitting = False

    def load_wsgi(self) -> None:
        """Make the application; the script loads later, when the port already answers."""
        if self.preloaded is not None:
            self.application = self.preloaded
            self.application.attach(self.row)
            self.settings: Settings = self.preloaded.settings
        else:
            self.settings = load_settings(os.environ)
            self.application = Application(self.settings, self.scoreboard, self.row, self.give_up)

    def run(self) -> None:
        """Serve until told to stop; exits 3 when the script cannot be served."""
        hooks = LoopHooks(
            self._beat,
            self._may_accept,
            self._other_is_idle,
            self._request_started,
            self._signalled,
        )
        loop = self.loop = HttpLoop(
            self.sockets, self.cfg, self.settings, self.application, hooks, self.row
        )
        # A segfault in a library tells in which line of the script it happened.
        faulthandler.enable()
        # Python's own handlers only run once the main thread gets back to Python code.
        signal.set_wakeup_fd(loop.wake_descriptor, warn_on_full_buffer=False)
        os.register_at_fork(
            before=self.application.request_log.flush, after_in_child=self._become_plain_process
        )
        thread = threading.Thread(target=self._run_loop, args=(loop,), name="http", daemon=True)
        thread.start()
        reloader = self._reloader()
        try:
            if self.preloaded is None:
                connect_to_debugger(self.settings)
                self.application.load()
        except Exception as error:
            self._leave_if_told_to()
            if reloader is not None:
                reloader.note_failed_start()
            log.debug("The scoring script cannot be served", exc_info=error)
            sys.exit(START_FAILED)
        self._leave_if_told_to()
        self.application.serve(on_ready=lambda: self._tell_ready(reloader))
        thread.join(timeout=5)

    def _reloader(self) -> Reloader | None:
        if self.board is None:
            return None
        from inference_server.reload.reloader import Reloader

        reloader = Reloader(
            self.application, self.board, self._wake_master, is_leaving=lambda: not self.alive
        )
        reloader.prepare()
        return reloader

    @staticmethod
    def _run_loop(loop: HttpLoop) -> None:
        try:
            loop.run()
        except Exception:
            log.critical("The HTTP loop failed; this worker is replaced", exc_info=True)
            os._exit(1)

    # --- the loop's hooks --------------------------------------------------------------------

    def _beat(self) -> None:
        self.notify()
        if self.ppid != os.getppid():
            log.info("Parent changed, shutting down: %s", self)
            self.alive = False
        if not self.alive:
            self._end_when_done()

    def _may_accept(self) -> bool:
        # While this worker loads, or run() may be stuck in it, others should get the clients.
        state = self.row.state
        if state is WorkerState.READY and not self.application.is_blocked:
            return True
        return state in (WorkerState.READY, WorkerState.STARTING) and not any(
            row.state is WorkerState.READY and row is not self.row for row in self.scoreboard
        )

    def _other_is_idle(self) -> bool:
        places = self.settings.max_concurrent_requests
        return self.cfg.workers > 1 and any(
            sum(row.load) < places
            for row in self.scoreboard
            if row.state is WorkerState.READY and row is not self.row
        )

    def _request_started(self) -> bool:
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            log.info("Autorestarting worker after current request.")
            self.alive = False
            if self.loop is not None:
                self.loop.look_after()
        return bool(self.alive)

    def _tell_ready(self, reloader: Reloader | None) -> None:
        """Let in clients at once, and wake the master, which then reads the scoreboard."""
        if self.loop is not None:
            self.loop.soon(self.loop.look_after)
        self._wake_master()
        if reloader is not None:
            reloader.start()

    def _wake_master(self) -> None:
        # Gone, its number may be somebody else's.
        if self.ppid == os.getppid():
            os.kill(self.ppid, signal.SIGCHLD)

    # --- ends --------------------------------------------------------------------------------

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM: finish what is in flight. A script that still loads has nothing in flight."""
        self._note_end()

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """SIGINT, SIGQUIT: answer what is in flight with 503 and leave."""
        self._note_end()

    def _note_end(self) -> None:
        # Raising here would happen in the middle of the user's code; the loop ends the process.
        self.alive = False
        if self.loop is None:
            sys.exit(0)

    def _signalled(self, number: int) -> None:
        """A signal arrived (loop's thread); the handlers above may still have to wait."""
        if number in (signal.SIGINT, signal.SIGQUIT):
            self.alive = False
            self._quit()
        elif number == signal.SIGTERM:
            self.alive = False
            self._end_when_done()

    def _end_when_done(self) -> None:
        if self.row.state is WorkerState.STARTING:
            self._quit()
        elif self.loop is not None:
            self.loop.stop()

    def _quit(self) -> None:
        if self._quitting or self.loop is None:
            return
        self._quitting = True
        self.cfg.worker_int(self)
        self.loop.abort()
        # run() may be deep in a computation; the answers are out, so the process can go.
        threading.Thread(target=self._leave, args=(0,), daemon=True).start()

    def _become_plain_process(self) -> None:
        """In a process that the script forks: let go of what belongs to this worker.

        Its signals would otherwise reach this worker's loop, it would not die of SIGTERM as
        `multiprocessing` expects, and clients would wait for it to close their connections.
        """
        signal.set_wakeup_fd(-1)
        for number in self.SIGNALS:
            if getattr(signal.getsignal(number), "__self__", None) is self:
                default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
                signal.signal(number, default)
        if self.loop is not None:
            self.loop.close_sockets()

    def give_up(self) -> None:
        """Leave without waiting for the scoring thread."""
        self._leave(STUCK)

    def _leave(self, code: int) -> None:
        deadline = time.monotonic() + QUICK_EXIT_S
        while self.loop is not None and time.monotonic() < deadline and self.loop.has_unsent:
            time.sleep(0.01)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)

    def _leave_if_told_to(self) -> None:
        if not self.alive:
            self._leave(0)

    def handle_abort(self, sig: int, frame: FrameType | None) -> Any:
        """The master found this worker silent for `worker_timeout` seconds."""
        log.critical("This worker was silent for %s s and is replaced", self.cfg.timeout)
        super().handle_abort(sig, frame)
