"""A worker process that dies, in whatever way, is replaced."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.behaviour.support import lines_of, metric, read_metrics, trickle
from tests.conftest import StartServer
from tests.contract.support import shared_server
from tests.responses import Response
from tests.servers import ServerProcess, poll

crashing = shared_server("run_crashes.py")
escaping = shared_server("raises_base_exception.py")
escaping_threads = shared_server("raises_base_exception.py", "--max_concurrent_requests", "2")


def scored(server: ServerProcess, body: str = "now") -> Response | None:
    """Return the answer if it is a good one; a server in transition may give none."""
    try:
        response = server.score(body)
    except (OSError, http.client.HTTPException):
        return None
    return response if response.status == 200 else None


def worker_pid(server: ServerProcess) -> int:
    """Return the process id of the worker once it scores."""
    pid: int = poll(lambda: scored(server), timeout=10).json()
    return pid


@pytest.mark.parametrize("how", ["segmentation fault", "abort", "exit", "kill"])
def test_a_crash_in_run_costs_one_request_and_less_than_a_second(
    crashing: ServerProcess, how: str
) -> None:
    pid = worker_pid(crashing)
    started = time.monotonic()

    with pytest.raises((OSError, http.client.HTTPException)):
        crashing.score(how)

    after = poll(lambda: scored(crashing), timeout=5)
    seconds = time.monotonic() - started
    print(f"scoring again {seconds:.2f} s after {how}")
    assert after.json() != pid
    assert seconds < 1
    assert crashing.returncode is None


def test_a_worker_killed_from_outside_is_replaced_within_a_second(crashing: ServerProcess) -> None:
    pid = worker_pid(crashing)
    restarts = metric(crashing, "azml_worker_restarts_total")
    started = time.monotonic()

    os.kill(pid, signal.SIGKILL)

    after = poll(lambda: (a := scored(crashing)) and a.json() != pid and a, timeout=5)
    assert time.monotonic() - started < 1
    assert after.json() != pid
    assert metric(crashing, "azml_worker_restarts_total") == restarts + 1
    crashing.wait_for_log(rf"Worker \(pid:{pid}\) was sent SIGKILL! Perhaps out of memory\?")


def test_a_worker_killed_right_after_its_start_is_replaced_soon(start_server: StartServer) -> None:
    server = start_server("run_crashes.py")
    pid = server.score("now").json()

    os.kill(pid, signal.SIGKILL)

    after = poll(lambda: (a := scored(server)) and a.json() != pid and a, timeout=5)
    assert after.json() != pid


def test_the_other_worker_serves_meanwhile(start_server: StartServer) -> None:
    server = start_server("run_crashes.py", "--worker_count", "2")
    poll(lambda: metric(server, "azml_workers", state="ready") == 2, timeout=10)
    first, second = server.worker_pids()

    with trickle(server, "now") as seen:
        poll(lambda: len(seen.answers) > 5, timeout=10)
        os.kill(first, signal.SIGKILL)
        poll(lambda: len(server.worker_pids()) == 2 and first not in server.worker_pids(), 5)
        poll(lambda: metric(server, "azml_workers", state="ready") == 2, timeout=10)

    assert len(seen.failures) <= 1, "more than the request that was in the killed worker"
    assert seen.statuses == {200}
    assert second in {answer.json() for answer in seen.answers}


@pytest.mark.parametrize("kind", ["own", "cancelled", "interrupt", "generator"])
def test_what_escapes_every_except_clause_is_an_answer(escaping: ServerProcess, kind: str) -> None:
    before = escaping.worker_pids()

    response = escaping.score(kind)

    assert response.status == 500
    assert response.json()["error"]["message"] == "gone"
    assert response.json()["error"]["file"].endswith("raises_base_exception.py")
    assert escaping.score("fine").json() == "fine"
    assert escaping.worker_pids() == before


@pytest.mark.parametrize("kind", ["own", "cancelled", "interrupt"])
def test_no_exception_costs_a_place(escaping_threads: ServerProcess, kind: str) -> None:
    statuses = [escaping_threads.score(kind).status for _ in range(4)]

    assert statuses == [500] * 4
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(escaping_threads.score, ["fine", "fine"]))
    assert [answer.json() for answer in answers] == ["fine", "fine"]


@pytest.mark.parametrize("kind", ["own", "cancelled", "interrupt"])
def test_a_stream_that_raises_it_is_cut_off(escaping_threads: ServerProcess, kind: str) -> None:
    for _ in range(3):
        with pytest.raises(http.client.IncompleteRead) as broken:
            escaping_threads.score(f"stream {kind}")
        first, last = map(json.loads, broken.value.partial.splitlines())
        assert first == {"n": 1}
        assert last["error"]["message"] == "gone"

    assert escaping_threads.score("fine").json() == "fine"


def test_leaving_by_sys_exit_is_an_answer(start_server: StartServer) -> None:
    server = start_server("run_exits.py")
    before = server.worker_pids()

    response = server.score("softly")

    assert response.status == 500
    assert response.json()["error"]["type"] == "SystemExit"
    assert response.json()["error"]["source"] == "sys.exit(5)"
    assert server.score("stay").json() == "stay"
    assert server.worker_pids() == before


def test_a_script_that_kills_its_process_in_init_is_tried_a_few_times(
    start_server: StartServer, tmp_path: Path
) -> None:
    (tmp_path / "poison").touch()
    server = start_server("init_kills_process.py", ready=False)

    assert server.wait_exit(timeout=20) == 3

    times = [float(line) for line in lines_of(tmp_path / "attempts")]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert len(times) == 5
    assert all(later > 1.5 * earlier for earlier, later in itertools.pairwise(pauses))
    server.wait_for_log(r"ended 5 times in a row while it was starting")
    assert "SIGKILL" in server.stderr


def test_a_script_that_recovers_is_served(start_server: StartServer, tmp_path: Path) -> None:
    poison = tmp_path / "poison"
    poison.touch()
    server = start_server("init_kills_process.py", ready=False)
    poll(lambda: len(lines_of(tmp_path / "attempts")) == 2, timeout=10)

    poison.unlink()

    server.wait_until_ready()
    assert server.score("x").status == 200


def test_a_replacement_that_dies_does_not_end_a_server_with_workers_left(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server("init_kills_process.py", "--worker_count", "2")
    poll(lambda: metric(server, "azml_workers", state="ready") == 2, timeout=10)
    killed, left = server.worker_pids()
    (tmp_path / "poison").touch()

    os.kill(killed, signal.SIGKILL)

    poll(lambda: len(lines_of(tmp_path / "attempts")) >= 4, timeout=10)
    assert server.score("x").json() == left
    (tmp_path / "poison").unlink()
    poll(lambda: metric(server, "azml_workers", state="ready") == 2, timeout=10)
    assert server.returncode is None


def test_totals_survive_a_crash(start_server: StartServer) -> None:
    server = start_server("run_crashes.py")
    for _ in range(3):
        server.score("now")
    pid = worker_pid(server)
    before = read_metrics(server)[("azml_run_duration_seconds_count", ())]

    os.kill(pid, signal.SIGKILL)
    poll(lambda: (a := scored(server)) and a.json() != pid, timeout=5)

    assert read_metrics(server)[("azml_run_duration_seconds_count", ())] >= before + 1
