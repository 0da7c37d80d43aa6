"""Workers, signals and ports: the server as a set of processes."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.responses import Response
from tests.servers import SCORING_SCRIPTS, ServerProcess, free_port, poll

READY = r"Worker with pid (\d+) ready for serving traffic"


def answer_of(server: ServerProcess, body: str = "x") -> Response | None:
    """Return the answer if it is a good one; a server in transition may give none."""
    try:
        response = server.score(body)
    except (OSError, http.client.HTTPException):
        return None
    return response if response.status == 200 else None


def pids_that_answer(server: ServerProcess) -> set[int]:
    """Ask four times at once and return the processes that answered."""
    with ThreadPoolExecutor(4) as pool:
        reports = [answer.json() for answer in pool.map(lambda _: server.score(), range(4))]
    assert all(report["pid"] == report["init_pid"] for report in reports)
    assert {report["inits"] for report in reports} == {1}
    return {report["pid"] for report in reports}


def test_each_worker_is_a_process_with_an_init_of_its_own(start_server: StartServer) -> None:
    server = start_server("reports_process.py", "--worker_count", "2")
    seen: set[int] = set()

    def both_answered() -> bool:
        seen.update(pids_that_answer(server))
        return len(seen) == 2

    poll(both_answered, timeout=20)

    assert server.pid not in seen
    assert len(server.log_lines("Users's init has completed successfully")) == 2


def test_a_killed_worker_is_replaced(start_server: StartServer) -> None:
    server = start_server("reports_process.py")
    killed = server.score().json()["pid"]

    os.kill(killed, signal.SIGKILL)

    report = poll(lambda: answer_of(server), timeout=20).json()
    assert report["pid"] != killed
    assert report["inits"] == 1
    assert server.returncode is None


def test_sigterm_lets_a_request_finish(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server("waits_for_release.py")

    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(server.score, "in flight")
        poll((tmp_path / "started").exists, timeout=10)
        server.signal(signal.SIGTERM)
        poll(lambda: refuses_or_logs(server), timeout=10)
        (tmp_path / "release").touch()
        response = pending.result(timeout=15)

    assert (response.status, response.json()) == (200, "in flight")
    assert server.wait_exit(timeout=15) == 0


def refuses_or_logs(server: ServerProcess) -> bool:
    """Tell whether the server has noticed that it is to stop."""
    if server.log_lines(r"(?i)\bterm\b|sigterm|shutting down|stopping"):
        return True
    try:
        server.connect(timeout=1).close()
    except OSError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_an_idle_server_ends_with_success(
    start_server: StartServer, number: signal.Signals
) -> None:
    server = start_server("returns_input.py")
    workers = server.worker_pids()

    server.signal(number)

    assert workers
    assert server.wait_exit(timeout=10) == 0
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


def test_sighup_loads_the_script_again(start_server: StartServer, tmp_path: Path) -> None:
    script = tmp_path / "score.py"
    shutil.copy(SCORING_SCRIPTS / "returns_input.py", script)
    server = start_server(Path("score.py"))
    assert server.score("old").json() == "old"

    source = script.read_text()
    script.write_text(source.replace("return data", "return 'new code'"))
    os.utime(script, (0, 0))
    server.signal(signal.SIGHUP)

    poll(lambda: (a := answer_of(server)) and a.json() == "new code", timeout=20)


@pytest.mark.gunicorn_only
def test_health_has_a_port_of_its_own_on_request(start_server: StartServer) -> None:
    health_port = free_port()

    server = start_server(
        "returns_input.py",
        "--health_port",
        str(health_port),
        environ={"SEPERATE_HEALTH_ENDPOINT": "true"},
    )

    assert server.request("GET", "/", port=health_port).body == b"Healthy"
    assert server.get("/").body == b"Healthy"
    assert server.score("x").json() == "x"
    server.wait_for_log(rf"^Liveness Probe: GET   127\.0\.0\.1:{health_port}/")
    server.wait_for_log(r"^Create dedicated endpoint for health: true")


def test_a_health_port_without_the_switch_is_ignored(start_server: StartServer) -> None:
    health_port = free_port()

    server = start_server("returns_input.py", "--health_port", str(health_port))

    with pytest.raises(ConnectionRefusedError):
        server.request("GET", "/", port=health_port)
