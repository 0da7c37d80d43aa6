"""A server under test as processes, and what is asked of it before there is load."""

from __future__ import annotations

import http.client
import os
import subprocess
import time
from pathlib import Path

from benchmarks.errors import MeasureError
from benchmarks.load import ANSWER, BODY, HOST, OK, PATH
from benchmarks.machine import pinned
from benchmarks.servers import Installed
from tests.servers import ServerProcess, clean_environment

START_TIMEOUT_S = 30.0

_POLL_S = 0.001


class RunningServer(ServerProcess):
    """A server with its default settings, and a log file, on one core."""

    def __init__(self, installed: Installed, core: int | None) -> None:
        super().__init__(None)
        self._installed = installed
        self._core = core
        self.spawned_at = 0.0

    @property
    def arguments(self) -> list[str]:
        """The command line of the process."""
        return self._installed.command(*self._installed.server.arguments(self.port))

    def __enter__(self) -> RunningServer:
        super().__enter__()
        return self

    def _start(self) -> subprocess.Popen[bytes]:
        with pinned(self._core):
            self.spawned_at = time.perf_counter()
            return super()._start()

    def wait_for_answer(self) -> float:
        """Seconds from the start of the process to its first scoring answer.

        Raises:
            MeasureError: None came, or a wrong one.
        """
        deadline = self.spawned_at + START_TIMEOUT_S
        while time.perf_counter() < deadline:
            if self.returncode is not None:
                raise MeasureError(f"ended with exit code {self.returncode}\n{self.log_tail()}")
            try:
                status, body = self._ask()
            except OSError:
                time.sleep(_POLL_S)
                continue
            seconds = time.perf_counter() - self.spawned_at
            if status == OK:
                if body != ANSWER:
                    raise MeasureError(f"answered {body!r}, not {ANSWER!r}")
                return seconds
        raise MeasureError(f"no answer within {START_TIMEOUT_S:g} s\n{self.log_tail()}")

    def _ask(self) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=START_TIMEOUT_S)
        try:
            connection.request("POST", PATH, BODY, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def pids(self) -> list[int]:
        """The command itself and its worker processes."""
        return [self.pid, *self.worker_pids()]


def help_seconds(installed: Installed, core: int | None, home: Path) -> float:
    """Seconds that `--help` takes.

    Raises:
        MeasureError: It printed no help.
    """
    command = installed.command(installed.server.arguments(0)[0], "--help")
    with pinned(core):
        begin = time.perf_counter()
        done = subprocess.run(
            command, env=clean_environment(home), cwd=home, capture_output=True, text=True,
            check=False, timeout=START_TIMEOUT_S, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        seconds = time.perf_counter() - begin
    # The reference ends its help with exit code 1.
    if done.returncode not in (os.EX_OK, 1) or "--entry_script" not in done.stdout:
        raise MeasureError(f"--help printed {done.stdout[:200]!r}")
    return seconds
