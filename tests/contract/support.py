"""Shared servers, the switch between reference and ours, and requirements of scripts."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import pytest

from tests.responses import Response
from tests.servers import ServerProcess, server_python

T = TypeVar("T")

LOG_PREFIX = r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2},\d{3}"
SCRIPT_FAILED = "An unexpected error occurred in scoring script. Check the logs for more info."
INTERNAL_ERROR = "An unexpected internal error occurred. Check the logs for more info."
NOT_FOUND = (
    "The requested URL was not found on the server. If you entered the URL manually please "
    "check your spelling and try again."
)
METHOD_NOT_ALLOWED = "The method is not allowed for the requested URL."


def shared_server(
    script: str, *options: str, environ: Mapping[str, str] | None = None
) -> Callable[..., Iterator[ServerProcess]]:
    """Return a fixture: one ready server for all the tests of the module."""

    @pytest.fixture(scope="module")
    def server() -> Iterator[ServerProcess]:
        with ServerProcess(script, *options, environ=environ) as process:
            yield process.wait_until_ready()

    return server


def expected_of(*, reference: T, ours: T) -> T:
    """Choose by the server under test what to expect where the two differ on purpose."""
    return reference if is_reference() else ours


@functools.cache
def is_reference() -> bool:
    """Tell whether the command under test belongs to the server this project succeeds."""
    return not _imports_in_server("azml") and not _imports_in_server("inference_server")


def status_line(response: Response) -> tuple[int, str]:
    """Status and reason phrase; Granian sends phrases of its own, in mixed case."""
    is_granian = os.environ.get("AZML_ENGINE") == "granian"
    return response.status, response.reason.upper() if is_granian else response.reason


def requires(*modules: str) -> None:
    """Skip a whole test module unless the tested server's interpreter has the modules."""
    if reason := _lacks(modules):
        pytest.skip(reason, allow_module_level=True)


def requires_here(*modules: str) -> None:
    """Skip one test unless the tested server's interpreter has the modules."""
    if reason := _lacks(modules):
        pytest.skip(reason)


def _lacks(modules: tuple[str, ...]) -> str:
    missing = [name for name in modules if not _imports_in_server(name)]
    return f"the server's interpreter lacks {', '.join(missing)}" if missing else ""


@functools.cache
def _imports_in_server(module: str) -> bool:
    """Ask the interpreter of the tested command, which need not be the one of the tests."""
    python = server_python()
    if not python.exists():
        raise FileNotFoundError(f"no interpreter beside the tested command: {python}")
    probe = [str(python), "-c", f"import {module}"]
    return subprocess.run(probe, capture_output=True, cwd="/", check=False).returncode == 0
