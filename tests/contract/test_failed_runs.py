"""What a caller sees, and what the log says, when `run()` fails."""

from __future__ import annotations

import http.client

import pytest

from tests.conftest import StartServer
from tests.contract.support import (
    INTERNAL_ERROR,
    LOG_PREFIX,
    SCRIPT_FAILED,
    expected_of,
    shared_server,
    status_line,
)
from tests.responses import Response
from tests.servers import SCORING_SCRIPTS, ServerProcess, poll

server = shared_server("run_raises.py")


def test_an_exception_is_a_500_that_says_the_script_failed(server: ServerProcess) -> None:
    response = server.score("the data is bad")

    assert status_line(response) == (500, "INTERNAL SERVER ERROR")
    assert response.headers["Content-Type"] == "application/json"
    assert response.json()["message"] == SCRIPT_FAILED
    assert response.headers.get_all("x-ms-run-function-failed") == ["True"]
    assert "x-ms-run-fn-exec-ms" not in response.headers


def test_the_log_of_an_exception_names_cause_file_and_line(server: ServerProcess) -> None:
    server.score("a cause like no other")

    server.wait_for_log(r"ValueError: a cause like no other")
    source = (SCORING_SCRIPTS / "run_raises.py").read_text().splitlines()
    number = 1 + source.index("        raise ValueError(data)")
    server.wait_for_log(rf"run_raises\.py\D+{number}\b")
    server.wait_for_log(LOG_PREFIX + r" E \[\d+\] azmlinfsrv - Encountered Exception")


def test_the_process_survives_an_exception(server: ServerProcess) -> None:
    before = server.score("").json()
    server.score("failure")

    assert server.score("").json() == before


def test_a_value_that_cannot_be_encoded_is_a_500(start_server: StartServer) -> None:
    response = start_server("returns_object.py").score("x")

    assert response.status == 500
    assert response.json()["message"] == INTERNAL_ERROR
    assert response.headers["x-ms-run-function-failed"] == expected_of(
        reference="False", ours="True"
    )


@pytest.mark.parametrize("how", ["softly", "hard"])
def test_a_script_that_ends_its_process_does_not_end_the_server(
    start_server: StartServer, how: str
) -> None:
    server = start_server("run_exits.py")

    try:
        assert server.score(how).status >= 500
    except (ConnectionError, http.client.HTTPException):
        assert how == "hard"

    assert poll(lambda: scored(server, "still here"), timeout=15).json() == "still here"


def scored(server: ServerProcess, body: str) -> Response | None:
    """Return the answer if it is a good one."""
    try:
        response = server.score(body)
    except (OSError, http.client.HTTPException):
        return None
    return response if response.status == 200 else None
