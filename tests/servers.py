"""Inference servers as real processes: start one, talk to it, read its log, end it.

`AZML_SERVER_UNDER_TEST` names the command to test; without it, `azmlinfsrv` beside the running
interpreter is taken. Only the standard library is used, so the module also serves programs
that are not tests.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal as signals
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from tests.responses import Response, read_response

HOST = "127.0.0.1"
SCORING_SCRIPTS = Path(__file__).parent / "scoring_scripts"
START_TIMEOUT = 30.0
STOP_TIMEOUT = 15.0
LOG_TIMEOUT = 10.0
REQUEST_TIMEOUT = 20.0

_POLL_INTERVAL = 0.02
_READY_PROBE_TIMEOUT = 0.5
_LOG_TAIL_LINES = 40
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "AZML_ENGINE")
_KEPT_PREFIXES = ("COVERAGE_", "COV_CORE_")

T = TypeVar("T")


class ServerError(AssertionError):
    """The server did not do what the test needed; the message carries the end of its log."""


def poll(predicate: Callable[[], T | None], timeout: float, what: str = "the condition") -> T:
    """Call `predicate` until it returns something true, and return that.

    Raises:
        TimeoutError: nothing true came within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{what} did not hold within {timeout} s; last value {value!r}")
        time.sleep(_POLL_INTERVAL)


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def server_command() -> Path:
    """Return the path of the `azmlinfsrv` command to test."""
    chosen = os.environ.get("AZML_SERVER_UNDER_TEST")
    return Path(chosen) if chosen else Path(sys.executable).parent / "azmlinfsrv"


def server_python() -> Path:
    """Return the interpreter the tested command runs on, which is not always this one."""
    return server_command().parent / "python"


def clean_environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return variables for a server that owe nothing to the shell the tests run in."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT_VARIABLES or name.startswith(_KEPT_PREFIXES)
    }
    return {**kept, "HOME": str(home), **(extra or {})}


def run_command(
    *arguments: str,
    cwd: Path,
    environ: Mapping[str, str] | None = None,
    timeout: float = START_TIMEOUT,
) -> subprocess.CompletedProcess[str]:
    """Run the server command to its end, for invocations that are expected to end by themselves.

    Raises:
        subprocess.TimeoutExpired: it still ran after `timeout` seconds, and was killed.
    """
    return subprocess.run(
        [str(server_command()), *arguments],
        cwd=cwd,
        env=clean_environment(cwd, environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


class ServerProcess:
    """A server started from the command line, and everything a test asks of it.

    Use it as a context manager; leaving the block ends the process and all it started.
    A `script` given as `str` is the name of a file in `tests/scoring_scripts`; `None` leaves
    `--entry_script` away. `command` stands in for `azmlinfsrv` itself. Without `cwd` the server
    runs in a folder of its own; its home is always one. The streams stay readable until the
    block is left.
    """

    def __init__(
        self,
        script: str | Path | None,
        *options: str,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        port: int | None = None,
        command: Sequence[str] | None = None,
    ) -> None:
        self.port = port or free_port()
        self._command = [str(server_command())] if command is None else list(command)
        self.script = SCORING_SCRIPTS / script if isinstance(script, str) else script
        self._options = options
        self._environ = environ
        self._cwd = cwd
        self._stack = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ServerProcess:
        with contextlib.ExitStack() as stack:
            self._folder = Path(stack.enter_context(_temporary_folder()))
            self._process = self._start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        finally:
            self._stack.close()

    def __repr__(self) -> str:
        name = self.script.name if self.script else "no script"
        return f"<ServerProcess {name} on port {self.port}>"

    @property
    def arguments(self) -> list[str]:
        """The command line of the process."""
        entry = ["--entry_script", str(self.script)] if self.script else []
        return [*self._command, *entry, "--port", str(self.port), *self._options]

    @property
    def cwd(self) -> Path:
        """The folder the command runs in."""
        return self._cwd or self._folder / "cwd"

    def _start(self) -> subprocess.Popen[bytes]:
        home = self._folder / "home"
        for folder in (home, self.cwd):
            folder.mkdir(exist_ok=True)
        with self._stdout_path.open("wb") as out, self._stderr_path.open("wb") as err:
            return subprocess.Popen(
                self.arguments,
                cwd=self.cwd,
                env=clean_environment(home, self._environ),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    # Process

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process the command line started."""
        if self._process is None:
            raise RuntimeError(f"{self!r} was not started")
        return self._process

    @property
    def pid(self) -> int:
        """Process id of the command; its process group has the same number."""
        return self.process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code, or `None` while the process runs."""
        return self.process.poll()

    def worker_pids(self) -> list[int]:
        """Return the ids of the processes the command itself started, oldest first."""
        return sorted(pid for pid, parent in _parents() if parent == self.pid)

    def signal(self, number: signals.Signals) -> None:
        """Send a signal to the command alone, not to its workers."""
        self.process.send_signal(number)

    def wait_exit(self, timeout: float = START_TIMEOUT) -> int:
        """Wait for the process to end by itself and return its exit code.

        Raises:
            ServerError: it still runs after `timeout` seconds.
        """
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise self._error(f"still runs after {timeout} s") from None

    def stop(self) -> int:
        """End the process as an operator would (SIGTERM), and whatever is left by force."""
        if self.returncode is None:
            self.signal(signals.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_TIMEOUT)
        return self.kill()

    def kill(self) -> int:
        """End the process and all it started by force, as a power cut would."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signals.SIGKILL)
        return self.process.wait()

    # Log

    @property
    def _stdout_path(self) -> Path:
        return self._folder / "stdout"

    @property
    def _stderr_path(self) -> Path:
        return self._folder / "stderr"

    @property
    def stdout(self) -> str:
        """What the process and its workers wrote to standard output so far."""
        return self._stdout_path.read_text("utf-8", errors="replace")

    @property
    def stderr(self) -> str:
        """What the process and its workers wrote to standard error so far."""
        return self._stderr_path.read_text("utf-8", errors="replace")

    @property
    def log(self) -> str:
        """Standard output, then standard error."""
        return self.stdout + self.stderr

    def log_lines(self, pattern: str = "") -> list[str]:
        """Return the lines of both streams in which the regular expression is found."""
        return [line for line in self.log.splitlines() if re.search(pattern, line)]

    def log_tail(self) -> str:
        """Return the last lines of each stream, for messages about failures."""
        return "\n".join(
            f"--- {name} of {self!r}\n" + "\n".join(text.splitlines()[-_LOG_TAIL_LINES:])
            for name, text in (("stdout", self.stdout), ("stderr", self.stderr))
        )

    def wait_for_log(self, pattern: str, timeout: float = LOG_TIMEOUT) -> re.Match[str]:
        """Wait until the regular expression is found in the log; `^` and `$` match at lines.

        Raises:
            ServerError: it was not found within `timeout` seconds.
        """
        expression = re.compile(pattern, re.MULTILINE)
        try:
            return poll(lambda: expression.search(self.log), timeout)
        except TimeoutError:
            raise self._error(f"logged nothing like {pattern!r} in {timeout} s") from None

    def _error(self, what: str) -> ServerError:
        return ServerError(f"{self!r} {what}\n{self.log_tail()}")

    # HTTP

    def wait_until_ready(self, timeout: float = START_TIMEOUT) -> ServerProcess:
        """Wait until `GET /` answers 200.

        Raises:
            ServerError: the process ended, or `timeout` seconds passed.
        """
        try:
            poll(self._answers_or_ended, timeout)
        except TimeoutError:
            raise self._error(f"not ready after {timeout} s") from None
        if self.returncode is not None:
            raise self._error(f"ended with exit code {self.returncode} before it was ready")
        return self

    def _answers_or_ended(self) -> bool:
        if self.returncode is not None:
            return True
        try:
            return self.request("GET", "/", timeout=_READY_PROBE_TIMEOUT).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def request(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        port: int | None = None,
        timeout: float = REQUEST_TIMEOUT,
    ) -> Response:
        """Send one request on a connection of its own and read the answer; text goes as UTF-8."""
        content = body.encode("utf-8") if isinstance(body, str) else body
        connection = http.client.HTTPConnection(HOST, port or self.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.request(method, path, body=content, headers=dict(headers or {}))
            return read_response(connection.getresponse())

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Response:
        """GET `path`."""
        return self.request("GET", path, headers=headers)

    def score(self, body: bytes | str = b"", headers: Mapping[str, str] | None = None) -> Response:
        """POST `body` to `/score`, as JSON unless `headers` has a `Content-Type`."""
        return self.request(
            "POST", "/score", body, {"Content-Type": "application/json", **(headers or {})}
        )

    def connect(self, timeout: float = REQUEST_TIMEOUT) -> socket.socket:
        """Open a connection; the caller closes it."""
        return socket.create_connection((HOST, self.port), timeout)

    def raw(
        self, request: bytes, *, half_close: bool = False, timeout: float = REQUEST_TIMEOUT
    ) -> bytes:
        """Send bytes and return all that comes back until the server closes the connection.

        A request that should end the connection carries `Connection: close`. With `half_close`
        our side is closed after sending, as a client does that sends less than it promised.

        Raises:
            TimeoutError: the server kept the connection open without a word for `timeout` seconds.
        """
        with self.connect(timeout) as connection:
            connection.sendall(request)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            return b"".join(_received(connection))


def _received(connection: socket.socket) -> Iterator[bytes]:
    with contextlib.suppress(ConnectionResetError):
        while block := connection.recv(65536):
            yield block


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="azml-", ignore_cleanup_errors=True)


def _parents() -> Iterator[tuple[int, int]]:
    """Yield process id and parent of every process alive."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The command name, in parentheses, may itself hold spaces and parentheses.
            fields = status.read_text(errors="replace").rpartition(")")[2].split()
            if fields[0] != "Z":
                yield int(status.parent.name), int(fields[1])
