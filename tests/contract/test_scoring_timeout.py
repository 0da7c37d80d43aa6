"""How long `run()` may take."""

from __future__ import annotations

import time

from tests.conftest import StartServer
from tests.contract.support import expected_of, shared_server
from tests.responses import Response
from tests.servers import ServerProcess, poll

server = shared_server("sleeps.py", environ={"SCORING_TIMEOUT_MS": "300"})


def test_a_run_that_takes_too_long_is_answered_at_the_deadline(server: ServerProcess) -> None:
    poll(lambda: server.score("0").status == 200, timeout=15)
    started = time.monotonic()

    response = server.score("3")

    elapsed = time.monotonic() - started
    assert 0.3 <= elapsed < 2
    assert response.status == expected_of(reference=500, ours=504)
    assert response.json()["message"] == "Scoring timeout after 300 ms"
    assert response.headers.get_all("x-ms-run-function-failed") == ["True"]
    assert "x-ms-run-fn-exec-ms" not in response.headers


def test_the_next_request_is_scored_again(server: ServerProcess) -> None:
    server.score("1")

    response = poll(lambda: scored(server), timeout=15)
    assert response.json() == "awake"


def test_the_deadline_is_logged_at_start(server: ServerProcess) -> None:
    server.wait_for_log(r" I \[\d+\] azmlinfsrv - Scoring timeout is set to 300\b")


def test_zero_means_no_deadline(start_server: StartServer) -> None:
    server = start_server("sleeps.py", environ={"SCORING_TIMEOUT_MS": "0"})

    response = server.score("0.2")

    assert response.json() == "awake"
    assert float(response.headers["x-ms-run-fn-exec-ms"]) >= 200


def scored(server: ServerProcess) -> Response | None:
    """Return the answer if it is a good one."""
    response = server.score("0")
    return response if response.status == 200 else None
