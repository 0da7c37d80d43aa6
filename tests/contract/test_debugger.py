"""`AZUREML_DEBUG_PORT`: the server connects to a waiting debugger before it loads the script."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.contract.support import is_reference, requires
from tests.servers import HOST, free_port

requires("debugpy")


@pytest.mark.skipif(is_reference(), reason="the reference restarts its worker for ever")
def test_a_missing_debugger_package_ends_the_server(
    start_server: StartServer, tmp_path: Path
) -> None:
    (tmp_path / "debugpy.py").write_text("raise ModuleNotFoundError(name='debugpy')\n")
    environ = {"AZUREML_DEBUG_PORT": str(free_port()), "PYTHONPATH": str(tmp_path)}

    server = start_server("returns_input.py", environ=environ, ready=False)

    assert server.wait_exit(timeout=20) != 0
    assert "debugpy is not installed" in server.log


def test_nobody_listening_ends_the_server(start_server: StartServer) -> None:
    server = start_server(
        "returns_input.py", environ={"AZUREML_DEBUG_PORT": str(free_port())}, ready=False
    )

    assert server.wait_exit(timeout=20) != 0
    assert "Invoking user's init function" not in server.log


def test_the_server_connects_before_it_loads_the_script(start_server: StartServer) -> None:
    with socket.create_server((HOST, 0)) as debugger:
        debugger.settimeout(20)
        port = debugger.getsockname()[1]

        environ = {"AZUREML_DEBUG_PORT": str(port), "PYTHONUNBUFFERED": "1"}
        server = start_server("prints.py", environ=environ, ready=False)
        connection, _ = debugger.accept()

        with connection:
            server.wait_for_log(rf"\*\* Connecting to debugger at port {port}\.\.\.")
            assert "Invoking user's init function" not in server.log
            server.kill()
