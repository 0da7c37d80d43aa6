"""One server under trial: a process of its own on a free port, ended with all it started."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from inference_server.errors import START_FAILED
from inference_server.settings import TABLE
from inference_server.tuning.errors import TuneError
from inference_server.tuning.machine import memory_mib
from inference_server.tuning.trials import Load, ServerSetup

HOST = "127.0.0.1"
START_S = 300.0
"""A model may take minutes to load."""

STOP_S = 5.0
POLL_S = 0.02
_LOG_LINES = 15
_USAGE = 2

_RECORD = re.compile(r"^\S+ \S+ [A-Z] \[\d+\] ")
_ERROR = re.compile(r"^\S+ \S+ [EC] \[\d+\] .* - ")

_LOAD_CLIENT = Path(__file__).with_name("load_client.py")


class TrialServer:
    """A server with one setup; leaving the block ends it.

    Args:
        setup: The settings under trial.
        options: Further options of the server.
    """

    def __init__(self, setup: ServerSetup, options: Sequence[str]) -> None:
        self._setup = setup
        self._options = options
        self.port = _free_port()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> TrialServer:
        command = [sys.executable, "-m", "inference_server", *self._options]
        command += ["--host", HOST, "--port", str(self.port), *self._setup.options()]
        self._log = self._stack.enter_context(tempfile.TemporaryFile())
        # In a session of its own, as Ctrl-C is for us: we end it in our own time.
        self._process = subprocess.Popen(  # noqa: S603 - the user's own options
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=_environment(),
            start_new_session=True,
        )
        try:
            self._wait_until_ready()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._stack.close()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_S
        while not self._is_ready():
            if self._process.poll() is not None:
                code = _USAGE if self._process.returncode == _USAGE else START_FAILED
                raise TuneError(f"the server did not start:\n{self._cause()}", code)
            if time.monotonic() >= deadline:
                raise TuneError(
                    f"the server was not ready within {START_S:g} s:\n{self._cause()}", START_FAILED
                )
            time.sleep(POLL_S)

    def _is_ready(self) -> bool:
        try:
            if self._setup.workers == 1:
                return self._request("GET", "/readyz")[0] == http.HTTPStatus.OK
            text = self._request("GET", "/metrics")[1].decode()
        except (OSError, http.client.HTTPException):
            return False
        found = re.search(r'azml_workers\{state="ready"\} (\d+)', text)
        return found is not None and int(found[1]) >= self._setup.workers

    def _cause(self) -> str:
        self._log.seek(0)
        return cause_in(self._log.read().decode(errors="replace"))

    def _request(
        self, method: str, path: str, body: bytes | None = None, content_type: str = ""
    ) -> tuple[int, bytes]:
        timeout = START_S if body is not None else 5.0
        connection = http.client.HTTPConnection(HOST, self.port, timeout=timeout)
        with contextlib.closing(connection):
            headers = {"Content-Type": content_type} if content_type else {}
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            return response.status, response.read()

    def check_answer(self, body: bytes, content_type: str) -> None:
        """Send one request.

        Raises:
            TuneError: It is not answered with 200; says what the answer says.
        """
        try:
            status, answer = self._request("POST", "/score", body, content_type)
        except (OSError, http.client.HTTPException) as error:
            raise TuneError(f"the request was not answered: {error}\n{self._cause()}") from None
        if status != http.HTTPStatus.OK:
            raise TuneError(f"the request was answered with {status}: {describe_answer(answer)}")

    def put_under_load(
        self, clients: int, seconds: float, longest: float, request_file: Path, content_type: str
    ) -> Load:
        """Send requests from so many clients for so long.

        Raises:
            TuneError: The load client did not work.
        """
        command = [sys.executable, "-I", str(_LOAD_CLIENT), "--port", str(self.port)]
        command += ["--clients", str(clients), "--seconds", f"{seconds:g}"]
        command += ["--longest", f"{longest:g}", "--request_file", str(request_file)]
        command += ["--content_type", content_type]
        try:
            done = subprocess.run(  # noqa: S603 - made above
                command, capture_output=True, text=True, timeout=longest + 60, check=True
            )
        except subprocess.CalledProcessError as error:
            reason = error.stderr.strip().splitlines()[-1:]
            raise TuneError(f"the load client failed: {''.join(reason)}\n{self._cause()}") from None
        except subprocess.TimeoutExpired:
            raise TuneError(f"the server did not answer {clients} clients") from None
        figures: dict[str, Any] = json.loads(done.stdout)
        return Load(**figures)

    def memory_mib(self) -> float | None:
        """Memory of all processes of the server."""
        return memory_mib(self._process.pid)


def cause_in(log: str) -> str:
    """The lines of a server's log that tell what failed: the first error with all its lines."""
    lines = log.splitlines()
    first = next((n for n, line in enumerate(lines) if _ERROR.search(line)), None)
    if first is None:
        return next((line for line in lines if "error:" in line), "\n".join(lines[-_LOG_LINES:]))
    end = next((n for n in range(first + 1, len(lines)) if _RECORD.search(lines[n])), len(lines))
    return "\n".join([lines[first].partition(" - ")[2], *lines[first + 1 : end]])


def describe_answer(answer: bytes) -> str:
    """The message of an error answer, with the place in the script when it has one."""
    try:
        content = json.loads(answer)
    except ValueError:
        return answer[:500].decode(errors="replace")
    if not isinstance(content, dict):
        return str(content)
    error = content.get("error") or {}
    if "file" not in error:
        return str(content.get("message", content))
    place = f"{error['file']}:{error.get('line')} in {error.get('function')}"
    return f"{error.get('type')}: {error.get('message')}\n  at {place}: {error.get('source')}"


def _environment() -> dict[str, str]:
    """Our own, but for reloading: a restart in the middle would be measured."""
    off = {row.variable: "false" for row in TABLE if row.name in ("reload", "watch")}
    return {**os.environ, **off}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port
