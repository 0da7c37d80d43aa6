"""What holds on every engine: the same command line, the same answers, the same ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.behaviour.support import metric, trickle
from tests.conftest import StartServer
from tests.servers import ServerProcess, poll, run_command, server_python

Start = Callable[..., ServerProcess]

ANSWERS = """
def init():
    {init}

def run(data):
    return "{answer}"
"""


@pytest.fixture(params=["gunicorn", "granian"])
def start(request: pytest.FixtureRequest, start_server: StartServer) -> Start:
    """Starts servers on one engine after the other."""

    def start_on_engine(script: str | Path, *options: str, **more: Any) -> ServerProcess:
        return start_server(script, "--engine", request.param, *options, **more)

    return start_on_engine


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A script that the test may replace."""
    path = tmp_path / "score.py"
    path.write_text(ANSWERS.format(init="pass", answer="old"))
    return path


def test_a_request_is_scored_and_carries_the_scoring_headers(start: Start) -> None:
    response = start("returns_input.py").score("hello", {"x-request-id": "my-id"})

    assert (response.status, response.json()) == (200, "hello")
    assert response.headers["x-request-id"] == "my-id"
    assert response.headers["x-ms-run-function-failed"] == "False"
    assert float(response.headers["x-ms-run-fn-exec-ms"]) >= 0


def test_a_request_takes_two_log_lines(start: Start) -> None:
    server = start("returns_input.py")

    server.score("hello", {"x-request-id": "my-id", "User-Agent": "me"})

    server.wait_for_log(r"azmlinfsrv - POST /score 200 [\d.]+ms 7 \[my-id\]$")
    server.wait_for_log(
        r"gunicorn\.access - 127\.0\.0\.1 - - \[.*\] "
        r'"POST /score HTTP/1\.1" 200 7 "-" "me" \[my-id\]$'
    )


def test_a_failed_run_says_where(start: Start) -> None:
    response = start("run_raises.py").score("x")

    assert response.status == 500
    assert Path(response.json()["error"]["file"]).name == "run_raises.py"
    assert response.json()["error"]["line"] > 0


@pytest.mark.parametrize("name", ["uses_flask_globals.py", "async_uses_flask_globals.py"])
def test_scripts_may_use_flasks_globals(start: Start, name: str) -> None:
    response = start(name).score("x", {"x-request-id": "my-id", "User-Agent": "me"})

    assert response.status == 200
    assert "my-id" in response.text


def test_health_answers_while_run_is_busy_and_the_queue_is_bounded(
    start: Start, tmp_path: Path
) -> None:
    server = start("waits_for_release.py", "--max_queue", "1", cwd=tmp_path)

    with ThreadPoolExecutor(3) as pool:
        running = pool.submit(server.score, "a")
        poll((tmp_path / "started").exists, timeout=10)
        waiting = pool.submit(server.score, "b")
        ready = poll(
            lambda: (r := server.get("/readyz").json())["queue_length"] == 1 and r, timeout=10
        )
        refused = server.score("c")
        (tmp_path / "release").touch()
        answers = [running.result().json(), waiting.result().json()]

    assert ready["state"] == "BUSY"
    assert (refused.status, refused.headers["Retry-After"].isdigit()) == (429, True)
    assert answers == ["a", "b"]


def test_run_is_called_as_often_at_once_as_allowed(start: Start) -> None:
    server = start("reports_overlap.py", "--max_concurrent_requests", "2")

    with ThreadPoolExecutor(4) as pool:
        overlaps = [call.json() for call in pool.map(server.score, ["0.2"] * 4)]

    assert max(overlaps) == 2


def test_a_deadline_is_kept_even_when_run_goes_on(start: Start) -> None:
    server = start("outlasts_deadline.py", "--scoring_timeout_ms", "200")

    response = server.score("in one piece")

    assert response.status == 504
    assert Path(response.json()["error"]["file"]).name == "outlasts_deadline.py"


def test_a_body_over_the_limit_is_refused(start: Start) -> None:
    server = start("raw_digests_body.py", "--max_body_size", "1KiB")

    assert server.score(b"x" * 1024).status == 200
    refused = server.score(b"x" * 1025)

    assert refused.status == 413
    assert "--max_body_size" in refused.json()["message"]


@pytest.mark.parametrize("name", ["run_is_generator.py", "run_is_async_generator.py"])
def test_streams_arrive(start: Start, name: str) -> None:
    response = start(name).score("objects")

    assert response.status == 200
    assert response.headers["Transfer-Encoding"] == "chunked"
    assert response.body.splitlines()[0] == b'{"n": 1}'


def test_requests_share_calls_of_a_batched_run(start: Start) -> None:
    server = start("batches.py")

    with ThreadPoolExecutor(8) as pool:
        answers = [call.json() for call in pool.map(server.score, ['{"n": 1}', '{"n": 2}'] * 8)]

    assert answers == [10, 20] * 8
    assert metric(server, "azml_batch_size_sum") == 16


def test_metrics_count_all_workers(start: Start) -> None:
    server = start("reports_process.py", "--worker_count", "2")
    poll(lambda: metric(server, "azml_workers", state="ready") == 2, timeout=10)

    with ThreadPoolExecutor(8) as pool:
        pids = {call.json()["pid"] for call in pool.map(server.score, ["x"] * 16)}

    assert len(pids) == 2
    assert metric(server, "azml_requests_total", status="200") >= 16
    assert metric(server, "azml_run_duration_seconds_count") == 16


def test_requests_are_held_while_init_runs_and_health_answers(start: Start, tmp_path: Path) -> None:
    server = start("slow_init.py", cwd=tmp_path, ready=False)
    state = poll(lambda: _state(server), timeout=10)

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(server.score, "early")
        (tmp_path / "release").touch()
        response = held.result()

    assert state == "STARTING"
    assert (response.status, response.json()) == (200, "early")


def _state(server: ServerProcess) -> str | None:
    try:
        return str(server.get("/livez").json()["state"])
    except OSError:
        return None


@pytest.mark.parametrize("name", ["init_raises.py", "raises_on_import.py", "init_missing.py"])
def test_a_script_that_cannot_be_served_ends_the_server_with_3(start: Start, name: str) -> None:
    server = start(name, ready=False)

    assert server.wait_exit() == 3
    assert server.log_lines(name)


def test_a_script_that_kills_its_process_in_init_ends_the_server_with_3(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "poison").touch()
    server = start("init_kills_process.py", cwd=tmp_path, ready=False)

    assert server.wait_exit() == 3
    assert server.log_lines(r"was sent SIGKILL!.* init\(\) at .*init_kills_process\.py:")


def test_a_killed_worker_is_replaced_and_the_log_says_how_it_ended(start: Start) -> None:
    server = start("reports_process.py")
    killed = server.score("x").json()["pid"]

    os.kill(killed, signal.SIGKILL)
    replaced = poll(lambda: _pid(server), timeout=10)

    assert replaced != killed
    assert server.log_lines("was sent SIGKILL!")
    assert metric(server, "azml_worker_restarts_total") == 1


def _pid(server: ServerProcess) -> int | None:
    try:
        return int(server.score("x").json()["pid"])
    except (OSError, ValueError):
        return None


def test_sigterm_lets_requests_finish_and_ends_with_0(start: Start, tmp_path: Path) -> None:
    server = start("waits_for_release.py", cwd=tmp_path)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.score, "a")
        poll((tmp_path / "started").exists, timeout=10)
        server.signal(signal.SIGTERM)
        (tmp_path / "release").touch()
        response = running.result()

    assert (response.status, response.json()) == (200, "a")
    assert server.wait_exit() == 0


def test_sigint_ends_the_server_at_once(start: Start, tmp_path: Path) -> None:
    server = start("waits_for_release.py", cwd=tmp_path)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(
            server.raw, b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        )
        poll((tmp_path / "started").exists, timeout=10)
        server.signal(signal.SIGINT)

        assert server.wait_exit(timeout=5) == 0
        running.exception()


def test_sighup_takes_new_code_over_without_a_failed_request(start: Start, script: Path) -> None:
    server = start(script)

    with trickle(server) as seen:
        poll(lambda: len(seen.answers) > 10, timeout=10)
        script.write_text(ANSWERS.format(init="pass", answer="new"))
        server.signal(signal.SIGHUP)
        server.wait_for_log("the new workers have taken over")
        poll(lambda: seen.answers[-1].json() == "new", timeout=10)

    assert seen.failures == []
    assert seen.statuses == {200}


def test_sighup_with_broken_code_keeps_the_old(start: Start, script: Path) -> None:
    server = start(script)

    script.write_text(ANSWERS.format(init="raise ValueError('no model')", answer="new"))
    server.signal(signal.SIGHUP)
    server.wait_for_log("keep serving the old script")

    assert server.score("x").json() == "old"
    assert server.log_lines(r"score\.py:3")


def test_a_busy_port_ends_the_server_with_1(start: Start) -> None:
    first = start("returns_input.py")

    second = start("returns_input.py", port=first.port, ready=False)

    assert second.wait_exit() == 1
    assert second.log_lines(f"Port {first.port} of 127.0.0.1 is in use")


WITHOUT_FORK = """
import multiprocessing, os, sys

if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    del os.fork
    from inference_server.cli import main

    main()
"""


@pytest.fixture
def without_fork(tmp_path: Path) -> list[str]:
    """The command on a system whose processes cannot fork, as Windows is."""
    command = tmp_path / "without_fork.py"
    command.write_text(WITHOUT_FORK)
    return [str(server_python()), str(command), "--engine", "granian"]


def test_granian_serves_without_fork(start_server: StartServer, without_fork: list[str]) -> None:
    server = start_server("returns_input.py", command=without_fork)

    assert server.score("hello").json() == "hello"
    assert server.get("/readyz").json()["state"] == "READY"
    assert server.stop() == 0


def test_without_fork_a_failed_start_ends_with_3(
    start_server: StartServer, without_fork: list[str]
) -> None:
    server = start_server("init_raises.py", command=without_fork, ready=False)

    assert server.wait_exit() == 3
    assert server.log_lines(r"init_raises\.py:\d+")


@pytest.mark.parametrize(
    ("options", "environ", "named"),
    [
        (["--keep_alive", "5"], {}, "AZML_KEEP_ALIVE"),
        (["--body_timeout", "5"], {}, "AZML_BODY_TIMEOUT"),
        (["--header_timeout", "90"], {}, "AZML_HEADER_TIMEOUT"),
        (["--max_queue", "5000"], {}, "AZML_MAX_QUEUE"),
        ([], {"SEPERATE_HEALTH_ENDPOINT": "true"}, "SEPERATE_HEALTH_ENDPOINT"),
        ([], {"GUNICORN_CMD_ARGS": "--threads 4"}, "GUNICORN_CMD_ARGS"),
    ],
)
def test_granian_refuses_what_it_cannot_do(
    tmp_path: Path, options: list[str], environ: dict[str, str], named: str
) -> None:
    arguments = ["--entry_script", "score.py", "--engine", "granian", *options]

    ended = run_command(*arguments, cwd=tmp_path, environ=environ)

    assert ended.returncode == 3
    assert named in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr
