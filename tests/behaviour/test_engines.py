"""Other ways to run the server: gunicorn's own workers, gunicorn itself, TLS."""

from __future__ import annotations

import shutil
import signal
import ssl
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.behaviour.support import exchange, scoring_request
from tests.conftest import StartServer
from tests.servers import SCORING_SCRIPTS, ServerProcess, poll, server_python

THREADS = {"GUNICORN_CMD_ARGS": "--threads 4"}
BIND_TO_PORT = """
import os, sys
*command, option, port = sys.argv[1:]
assert option == "--port"
os.execv(command[0], [*command, "--bind", "127.0.0.1:" + port])
"""


@pytest.fixture
def threaded(start_server: StartServer) -> ServerProcess:
    """A server on gunicorn's threads instead of our event loop."""
    return start_server("raw_digests_body.py", "--max_body_size", "1MiB", environ=THREADS)


def test_gunicorn_threads_serve_the_same_application(start_server: StartServer) -> None:
    server = start_server("takes_100_ms.py", environ=THREADS)

    with ThreadPoolExecutor(3) as pool:
        scores = [pool.submit(server.score, "sleep") for _ in range(3)]
        busy = poll(lambda: server.get("/readyz").json()["state"] == "BUSY", timeout=5)

    assert busy
    assert [score.result().json() for score in scores] == ["sleep"] * 3
    assert server.get("/").body == b"Healthy"
    assert server.log_lines("Using worker: gthread")


def test_limits_hold_there_too(threaded: ServerProcess) -> None:
    assert threaded.score(b"x" * 1000).json()["length"] == 1000
    assert threaded.score(b"x" * (1 << 20)).status == 200

    response = threaded.score(b"x" * ((1 << 20) + 1))

    assert response.status == 413
    assert "--max_body_size" in response.json()["message"]


def test_a_truncated_body_does_not_reach_run_there_either(threaded: ServerProcess) -> None:
    response = exchange(threaded, scoring_request(b"0123456789")[:-1], half_close=True)

    assert response.status == 400
    assert not (threaded.cwd / "calls").exists()


def test_streams_and_deadlines_work_there_too(start_server: StartServer) -> None:
    streams = start_server("run_is_generator.py", environ=THREADS)
    late = start_server("outlasts_deadline.py", "--scoring_timeout_ms", "200", environ=THREADS)

    assert streams.score("objects").body == b'{"n": 1}\n[2, null]\n"three"\n'
    response = late.score("in steps")
    assert response.status == 504
    assert "time.sleep" in response.json()["error"]["source"]
    assert late.score("now").status == 200


def test_gunicorn_itself_serves_the_entry(start_server: StartServer, tmp_path: Path) -> None:
    server = start_from_gunicorn(start_server, "returns_input.py")

    assert server.score("x").json() == "x"
    assert server.get("/").body == b"Healthy"
    server.signal(signal.SIGTERM)
    assert server.wait_exit(timeout=10) == 0


def test_gunicorn_itself_ends_with_3_when_the_script_fails(start_server: StartServer) -> None:
    server = start_from_gunicorn(start_server, "init_raises.py", ready=False)

    assert server.wait_exit(timeout=10) == 3
    server.wait_for_log(r"init_raises\.py:\d+ in init")


def start_from_gunicorn(
    start_server: StartServer, script: str, *, ready: bool = True
) -> ServerProcess:
    """Start `gunicorn inference_server.entry:app`, with its own spelling of the port."""
    environ = {"AZUREML_ENTRY_SCRIPT": str(SCORING_SCRIPTS / script), "AML_APP_ROOT": "."}
    gunicorn = str(server_python().parent / "gunicorn")
    command = [sys.executable, "-c", BIND_TO_PORT, gunicorn, "inference_server.entry:app"]
    return start_server(None, environ=environ, command=command, ready=ready)


def test_tls_is_gunicorns(start_server: StartServer, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    arguments = f"--certfile={certificate} --keyfile={key}"
    server = start_server("returns_input.py", environ={"GUNICORN_CMD_ARGS": arguments}, ready=False)
    context = ssl.create_default_context(cafile=str(certificate))
    server.wait_for_log("ready for serving traffic")
    request = urllib.request.Request(
        f"https://localhost:{server.port}/score", b"secret", {"Content-Type": "text/plain"}
    )

    with urllib.request.urlopen(request, timeout=10, context=context) as response:
        assert (response.status, response.read()) == (200, b'"secret"')


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for `localhost` and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("not on this machine: openssl")
    certificate, key = folder / "server.crt", folder / "server.key"
    subprocess.run(
        [
            openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
            "-keyout", str(key), "-out", str(certificate),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return certificate, key


def test_a_gunicorn_configuration_file_is_read(start_server: StartServer, tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text(
        "def when_ready(server):\n    print('from the configuration file', flush=True)\n"
    )

    server = start_server("returns_input.py")

    server.wait_for_log("^from the configuration file$")
    assert server.score("x").json() == "x"


def test_a_worker_may_be_told_to_retire(start_server: StartServer) -> None:
    """`max_requests` of gunicorn: a new process after so many requests, none of them lost."""
    arguments = {"GUNICORN_CMD_ARGS": "--max-requests 20"}
    server = start_server("run_crashes.py", environ=arguments)

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: server.score("x"), range(50)))

    assert {answer.status for answer in answers} == {200}
    assert len({answer.json() for answer in answers}) >= 2
