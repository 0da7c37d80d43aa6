"""A deadline holds for the client whatever `run()` does, and the next request is scored."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.behaviour.support import metric
from tests.conftest import StartServer
from tests.contract.support import shared_server
from tests.responses import Response
from tests.servers import SCORING_SCRIPTS, ServerProcess, poll

DEADLINE_MS = "300"
LIMIT = {"SCORING_TIMEOUT_MS": DEADLINE_MS}

main_thread = shared_server("outlasts_deadline.py", environ=LIMIT)
other_threads = shared_server(
    "outlasts_deadline.py", "--max_concurrent_requests", "2", environ=LIMIT
)
asynchronous = shared_server("run_is_async.py", environ=LIMIT)
alarms = shared_server("uses_alarm.py", environ=LIMIT)


def timed_score(server: ServerProcess, body: str) -> tuple[float, Response]:
    """Score; the seconds it took and the answer."""
    started = time.monotonic()
    response = server.score(body)
    return time.monotonic() - started, response


def scored(server: ServerProcess, body: str = "now") -> Response | None:
    """Return the answer if it is a good one."""
    response = server.score(body)
    return response if response.status == 200 else None


WAYS = ["in steps", "in one piece", "swallows Exception", "swallows BaseException"]


@pytest.mark.parametrize("how", WAYS)
def test_the_answer_comes_at_the_deadline_and_says_where_run_was(
    main_thread: ServerProcess, how: str
) -> None:
    pid = poll(lambda: scored(main_thread), timeout=5).json()

    seconds, response = timed_score(main_thread, how)

    assert response.status == 504
    assert 0.3 <= seconds < 0.8
    body = response.json()
    assert body["message"] == "Scoring timeout after 300 ms"
    error = body["error"]
    line = (SCORING_SCRIPTS / "outlasts_deadline.py").read_text().splitlines()[error["line"] - 1]
    assert error["file"].endswith("outlasts_deadline.py")
    assert line.strip() == error["source"]
    assert "time.sleep" in error["source"]
    assert error["type"] == "ScoringTimeout"
    after = poll(lambda: scored(main_thread), timeout=5)
    assert after.json() == pid, "the process had to be replaced"


@pytest.mark.parametrize("how", ["in steps", "swallows BaseException", "in one piece"])
def test_the_deadline_holds_beside_another_call(other_threads: ServerProcess, how: str) -> None:
    pid = poll(lambda: scored(other_threads), timeout=5).json()

    for _ in range(2):  # both threads get their turn
        seconds, response = timed_score(other_threads, how)
        assert response.status == 504
        assert 0.3 <= seconds < 0.8
        assert "time.sleep" in response.json()["error"]["source"]
        assert scored(other_threads), "the other thread should have scored meanwhile"

    assert poll(lambda: scored(other_threads), timeout=5).json() == pid


@pytest.mark.parametrize("body", ['{"wait": 3}', '{"block": 1}'], ids=["awaits", "blocks"])
def test_the_deadline_holds_for_an_asynchronous_run(asynchronous: ServerProcess, body: str) -> None:
    seconds, response = timed_score(asynchronous, body)

    assert response.status == 504
    assert 0.3 <= seconds < 0.8
    error = response.json()["error"]
    assert error["file"].endswith("run_is_async.py")
    assert "sleep" in error["source"]
    assert poll(lambda: scored(asynchronous, "{}"), timeout=5).json()["same_loop"] is True


@pytest.mark.parametrize("places", ["1", "3"])
def test_an_interrupt_that_comes_late_hits_nobody_else(
    start_server: StartServer, places: str
) -> None:
    """Calls that end just when their deadline passes, with quick ones between them."""
    server = start_server(
        "computes.py", "--max_concurrent_requests", places, "--scoring_timeout_ms", "20"
    )
    bodies = ["0.0199", "0"] * 60

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(server.score, bodies))

    assert {answer.status for answer in answers[1::2]} == {200}
    assert {answer.status for answer in answers[::2]} <= {200, 504}
    assert poll(lambda: scored(server, "0"), timeout=5)
    assert server.log_lines("internal error|Traceback") == []


def test_the_log_says_where_in_at_most_ten_lines(start_server: StartServer) -> None:
    server = start_server("outlasts_deadline.py", environ=LIMIT)

    server.score("in steps", {"x-request-id": "the-slow-one"})

    place = server.wait_for_log(r"^  \S*outlasts_deadline\.py:\d+ in run$")
    head = server.log[: place.start()].splitlines()[-1]
    assert re.search(r" E \[\d+\] azmlinfsrv - .*ScoringTimeout", head)
    assert head.endswith("[the-slow-one]")


def test_the_script_keeps_its_alarm(alarms: ServerProcess) -> None:
    assert alarms.score("count").json() == {"alarms": 1, "mine": True}

    assert alarms.score("slow").status == 504

    after = poll(lambda: scored(alarms, "count"), timeout=5)
    assert after.json() == {"alarms": 2, "mine": True}


def test_overdue_requests_are_counted(start_server: StartServer) -> None:
    server = start_server("outlasts_deadline.py", environ=LIMIT)

    server.score("in steps")

    assert metric(server, "azml_rejected_requests_total", reason="deadline") == 1
    assert metric(server, "azml_requests_total", status="504") == 1


def test_the_compatible_answer_is_500(start_server: StartServer) -> None:
    server = start_server("outlasts_deadline.py", "--compat", environ=LIMIT)

    response = server.score("in steps")

    assert response.status == 500
    assert response.json() == {"message": "Scoring timeout after 300 ms"}


def test_a_worker_timeout_caps_run_when_it_is_set(start_server: StartServer) -> None:
    server = start_server("outlasts_deadline.py", environ={"WORKER_TIMEOUT": "1"})
    pid = server.score("now").json()

    seconds, response = timed_score(server, "in one piece")

    assert response.status == 504
    assert 1 <= seconds < 2
    assert poll(lambda: scored(server), timeout=5).json() == pid
