"""Fixtures every test may use: a clean environment, servers that end with the test."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from tests.ingestion import Ingestion
from tests.servers import ServerProcess

_SERVER_PREFIXES = ("AZUREML_", "AML_", "AZML_", "SERVICE_", "WORKER_", "GUNICORN_")
_SERVER_VARIABLES = {
    "APP_INSIGHTS_LOG_RESPONSE_ENABLED",
    "HEALTH_PORT",
    "HTTP_X_MS_SERVER_VERSION",
    "SCORING_TIMEOUT_MS",
    "SEPERATE_HEALTH_ENDPOINT",
    "SERVER_PORT",
    "SERVER_VERSION_LOG_RESPONSE_ENABLED",
    "TRANSPORT_PROTOCOL",
    "WORKSPACE_NAME",
}
_KEPT = {"AZML_SERVER_UNDER_TEST", "AZML_ENGINE"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `AZML_ENGINE=granian`, leave out what only the gunicorn engine can do."""
    if os.environ.get("AZML_ENGINE", "gunicorn") != "gunicorn":
        left_out = [item for item in items if item.get_closest_marker("gunicorn_only")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


class StartServer(Protocol):
    """Starts a server in the test's own folder and, unless told otherwise, waits for it."""

    def __call__(
        self,
        script: str | Path | None,
        *options: str,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        port: int | None = None,
        command: Sequence[str] | None = None,
        ready: bool = True,
    ) -> ServerProcess:
        """Take what `ServerProcess` takes; `ready=False` returns at once."""


@pytest.fixture(autouse=True)
def clean_environ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every variable the server reads out of the test's environment."""
    for name in list(os.environ):
        read = name in _SERVER_VARIABLES or name.startswith(_SERVER_PREFIXES)
        if read and name not in _KEPT:
            monkeypatch.delenv(name)


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Start servers that are stopped when the test ends, whatever happened."""
    with contextlib.ExitStack() as stack:

        def start(
            script: str | Path | None,
            *options: str,
            environ: Mapping[str, str] | None = None,
            cwd: Path | None = None,
            port: int | None = None,
            command: Sequence[str] | None = None,
            ready: bool = True,
        ) -> ServerProcess:
            server = ServerProcess(
                script,
                *options,
                environ=environ,
                cwd=cwd or tmp_path,
                port=port,
                command=command,
            )
            stack.enter_context(server)
            return server.wait_until_ready() if ready else server

        yield start


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the log of a shared server beside the test that failed on it."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for name, value in item.funcargs.items():
            if isinstance(value, ServerProcess):
                report.sections.append((f"log of {name}", value.log_tail()))
    return report


@pytest.fixture
def ingestion() -> Iterator[Ingestion]:
    """Run an endpoint that keeps what is posted to it."""
    server = Ingestion()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.answer.set()
    server.shutdown()
    thread.join()
    server.server_close()
