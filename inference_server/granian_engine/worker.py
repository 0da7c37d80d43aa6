"""One worker of the Granian engine: a Granian server that has one worker process.

Granian forks that process and calls `ScoringProcess.load` in it; what comes back answers requests
on Granian's threads.
"""

from __future__ import annotations

import faulthandler
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from inference_server.application import SHUTTING_DOWN, Application
from inference_server.debugger import connect_to_debugger
from inference_server.errors import START_FAILED, STUCK
from inference_server.granian_engine.options import granian_options
from inference_server.scoreboard import Row, Scoreboard, WorkerState
from inference_server.script_thread import ScriptThread
from inference_server.settings import Settings
from inference_server.wsgi import WsgiServer, hand_over

if TYPE_CHECKING:
    from inference_server.reload.noticeboard import Noticeboard
    from inference_server.reload.reloader import Reloader

log = logging.getLogger("gunicorn.error")

BEAT_S = 1.0
QUICK_EXIT_S = 0.5
LISTEN_TIMEOUT_S = 30.0


def serve_one_worker(settings: Settings, load: Callable[[], WsgiServer]) -> int:
    """Be the Granian server of one worker process until that ends.

    Args:
        settings: The server's settings.
        load: Called in the worker process for its WSGI application.

    Returns:
        The worker process's exit code, or the negative number of the signal that ended it.
    """
    from granian import Granian

    server = Granian(**granian_options(settings))
    found: list[multiprocessing.process.BaseProcess] = []
    server.on_startup(
        lambda: threading.Thread(target=_find_worker, args=(found,), daemon=True).start()
    )
    try:
        server.serve(target_loader=load, wrap_loader=False)
    except SystemExit:
        log.debug("Granian ended before it was told to")
    code = found[0].exitcode if found else 1
    return code or 0


def _find_worker(found: list[multiprocessing.process.BaseProcess]) -> None:
    while not found:
        found.extend(multiprocessing.active_children())
        time.sleep(0.005)


def be_worker(process: ScoringProcess) -> NoReturn:
    """Be the parent of a worker process, and end as it ends, so that the master can tell how."""
    # Only a forked process has the scoreboard and what the master has loaded.
    multiprocessing.set_start_method("fork", force=True)
    code = serve_one_worker(process.settings, process.load)
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


class ScoringProcess:
    """The worker process itself.

    Args:
        settings: The server's settings.
        scoreboard: Shared with the master and the other workers.
        row: This worker's part of it.
        master: Process id of the master.
        lifeline: The reading end of a pipe that closes when the master ends.
        preloaded: The script, when the master has loaded it already.
        board: Shared with the master and the other workers, to reload on save.
    """

    def __init__(
        self,
        settings: Settings,
        scoreboard: Scoreboard,
        row: Row,
        *,
        master: int,
        lifeline: int,
        preloaded: Application | None = None,
        board: Noticeboard | None = None,
    ) -> None:
        self.settings = settings
        self._scoreboard = scoreboard
        self._row = row
        self._master = master
        self._lifeline = lifeline
        self._preloaded = preloaded
        self._board = board
        self._reloader: Reloader | None = None

    def load(self) -> WsgiServer:
        """The WSGI application of this process; Granian listens once this returns.

        While no other worker can score, that is at once, so that health answers and requests are
        held; otherwise when the script has loaded: until then the others get the requests.
        """
        self._row.pid = os.getpid()
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in (signal.SIGUSR1, signal.SIGQUIT):
            signal.signal(number, self._quit)
        faulthandler.enable()
        self.application = self._application()
        self._prepare_reloads()
        threading.Thread(target=self._follow_master, name="lifeline", daemon=True).start()
        others_score = self._scoreboard.any_ready
        script = ScriptThread(
            self.application,
            before_load=lambda: connect_to_debugger(self.settings),
            before_serve=_wait_until_listening,
            on_ready=self._tell_ready,
            on_failure=self._fail,
        )
        if others_score:
            script.wait_until_loaded()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()
        threading.Thread(target=self._finish, args=(script,), name="finish").start()
        return WsgiServer(self.application)

    def _application(self) -> Application:
        if self._preloaded is not None:
            self._preloaded.attach(self._row)
            return self._preloaded
        return Application(self.settings, self._scoreboard, self._row, self._give_up, hand_over)

    def _prepare_reloads(self) -> None:
        if self._board is None:
            return
        from inference_server.reload.reloader import Reloader

        self._reloader = Reloader(
            self.application,
            self._board,
            self._wake_master,
            is_leaving=lambda: self._row.state is WorkerState.STOPPING,
        )
        self._reloader.prepare()

    # --- what happens to it ------------------------------------------------------------------

    def _tell_ready(self) -> None:
        # The master may be about to hand over from an older worker.
        self._wake_master()
        if self._reloader is not None:
            self._reloader.start()

    def _wake_master(self) -> None:
        os.kill(self._master, signal.SIGCHLD)

    def _fail(self, error: BaseException) -> None:
        log.debug("The scoring script cannot be served", exc_info=error)
        if self._reloader is not None:
            self._reloader.note_failed_start()
        _leave(START_FAILED)

    def _give_up(self) -> None:
        _leave(STUCK, after_s=QUICK_EXIT_S / 2)

    def _quit(self, sig: int, frame: FrameType | None) -> None:
        """Answer what is in flight with 503 and leave."""
        if self._row.state is WorkerState.STARTING:
            _leave(0)
        self.application.refuse_all(SHUTTING_DOWN)
        threading.Thread(target=_leave, args=(0, QUICK_EXIT_S / 2), daemon=True).start()

    def _finish(self, script: ScriptThread) -> None:
        """Granian has answered everything and its thread, the main one, has ended."""
        threading.main_thread().join()
        script.stop()

    def _beat(self) -> None:
        while True:
            self._row.beat()
            time.sleep(BEAT_S)

    def _follow_master(self) -> None:
        """End with the master, even when it was killed."""
        while os.read(self._lifeline, 1):
            pass
        os.kill(os.getppid(), signal.SIGTERM)


def _wait_until_listening() -> None:
    """Wait for Granian, which does not tell: once this worker is ready, an older one may leave."""
    deadline = time.monotonic() + LISTEN_TIMEOUT_S
    while time.monotonic() < deadline:
        if any(_listens(int(name)) for name in os.listdir("/dev/fd")):  # noqa: PTH208 - numbers
            return
        time.sleep(0.002)
    log.error("Granian does not listen %.0f s after it got the application", LISTEN_TIMEOUT_S)
    _leave(START_FAILED)


def _listens(descriptor: int) -> bool:
    try:
        # Detached: what opened the descriptor closes it.
        sock = socket.socket(fileno=descriptor)
    except OSError:
        return False
    try:
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    except OSError:
        return False
    finally:
        sock.detach()


def _leave(code: int, after_s: float = 0.0) -> NoReturn:
    """End this process; answers on their way get a moment to leave Granian's buffers."""
    time.sleep(after_s)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
