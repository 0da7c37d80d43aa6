"""A server under test as processes, and what is asked of it before there is load."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.asking import OK, Request, ask
from benchmarks.environments import MODEL, Installed
from benchmarks.errors import MeasureError
from benchmarks.machine import descendants, pinned
from benchmarks.servers.base import PEERS, Kind, Service
from tests.servers import ServerProcess, free_port

START_TIMEOUT_S = 30.0
SETTLE_TIMEOUT_S = 5.0

_POLL_S = 0.001


class RunningServer(ServerProcess):
    """A server that serves one kind of thing from a folder of its own, on one core.

    `words` stand for further placeholders of the service's command.
    """

    def __init__(
        self,
        installed: Installed,
        kind: Kind,
        core: int | None,
        words: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(None)
        self.kind = kind
        self.service: Service = installed.server.services[kind]
        self._installed = installed
        self._core = core
        self._words = {
            "port": str(self.port),
            "port_2": str(free_port()),
            "port_3": str(free_port()),
            **(words or {}),
        }
        self.spawned_at = 0.0

    @property
    def arguments(self) -> list[str]:
        """The command line of the process."""
        return self._installed.command(*(w.format(**self._words) for w in self.service.command))

    @property
    def scoring_request(self) -> Request:
        """What is sent to it."""
        return self.service.request

    def __enter__(self) -> RunningServer:
        super().__enter__()
        return self

    def _start(self) -> subprocess.Popen[bytes]:
        self._lay_out()
        self._environ = {
            "PATH": f"{self._installed.bin}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": str(self.cwd),
            **{name: text.format(**self._words) for name, text in self.service.environ.items()},
        }
        with pinned(self._core):
            self.spawned_at = time.perf_counter()
            return super()._start()

    def _lay_out(self) -> None:
        """Put the server's files, the common tasks and the model where it runs."""
        self.cwd.mkdir()
        for folder in self._installed.server.files:
            shutil.copytree(
                folder, self.cwd, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
            )
        shutil.copy(PEERS / "tasks.py", self.cwd)
        (self.cwd / "empty").mkdir()
        if MODEL.exists():
            shutil.copy(MODEL, self.cwd)

    def wait_for_answer(self) -> float:
        """Seconds from the start of the process to its first scoring answer.

        Raises:
            MeasureError: None came, or a wrong one.
        """
        for status, body in self._attempts():
            seconds = time.perf_counter() - self.spawned_at
            if status == OK:
                self._check(body)
                return seconds
        raise MeasureError(f"no answer within {START_TIMEOUT_S:g} s\n{self.log_tail()}")

    def _attempts(self) -> Iterator[tuple[int, bytes]]:
        deadline = self.spawned_at + START_TIMEOUT_S
        while time.perf_counter() < deadline:
            if self.returncode is not None:
                raise MeasureError(f"ended with exit code {self.returncode}\n{self.log_tail()}")
            try:
                yield ask(self.port, self.scoring_request, START_TIMEOUT_S)
            except (OSError, http.client.HTTPException):
                time.sleep(_POLL_S)

    def check_answer(self) -> None:
        """Ask once more, and look whether the answer is right.

        Right behind a load the queue may still be full of requests whose clients have left, so a
        refusal is asked again for a while.

        Raises:
            MeasureError: It is not.
        """
        deadline = time.perf_counter() + SETTLE_TIMEOUT_S
        while True:
            try:
                status, body = ask(self.port, self.scoring_request, START_TIMEOUT_S)
            except (OSError, http.client.HTTPException) as error:
                raise MeasureError(f"gives no answer: {error}") from error
            if status == OK:
                return self._check(body)
            if time.perf_counter() > deadline:
                raise MeasureError(f"answers {status}: {body[:200]!r}")
            time.sleep(_POLL_S)

    def _check(self, body: bytes) -> None:
        if not self.service.is_right(self.kind, body):
            raise MeasureError(f"answers wrongly: {body[:200]!r}")

    def pids(self) -> list[int]:
        """The command itself and every process that came of it."""
        return descendants(self.pid)

    def stop(self) -> int:
        """End it without asking; how servers end is not measured."""
        return self.kill()

    def kill(self) -> int:
        """End everything by force, also what has made itself a session of its own."""
        pids = self.pids()
        code = super().kill()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return code


def seconds_of(installed: Installed, core: int | None, home: Path, *words: str) -> float:
    """Seconds that a command of the server's environment takes to its end.

    Raises:
        MeasureError: It failed, or took too long.
    """
    command = installed.command(*words)
    with pinned(core):
        begin = time.perf_counter()
        try:
            done = subprocess.run(
                command,
                env={"PATH": str(installed.bin), "HOME": str(home)},
                cwd=home,
                capture_output=True,
                text=True,
                check=False,
                timeout=START_TIMEOUT_S,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired as error:
            raise MeasureError(f"`{' '.join(words)}` took over {START_TIMEOUT_S:g} s") from error
        seconds = time.perf_counter() - begin
    # The reference ends its help with exit code 1.
    if done.returncode not in (0, 1) or "Traceback" in done.stderr:
        raise MeasureError(f"`{' '.join(words)}` failed: {done.stderr[-200:]!r}")
    return seconds
