"""SIGHUP: new code takes over without a failed request, broken code does not."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.behaviour.support import metric, scoring_request, trickle, wait_for_line
from tests.conftest import StartServer
from tests.responses import parse_response
from tests.servers import poll

WORKING = """
def init():
    pass

def run(data):
    return "{answer}"
"""
BROKEN = {
    "syntax": ("def init(:\n", 1),
    "import": ("import math\nimport no_such_package_at_all\n", 2),
    "init": (
        "def init():\n    raise ValueError('no model')\n\ndef run(data):\n    return data\n",
        2,
    ),
}


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A script that the test may replace."""
    path = tmp_path / "score.py"
    path.write_text(WORKING.format(answer="old"))
    return path


@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_request_fails_while_new_code_takes_over(
    start_server: StartServer, script: Path, workers: str
) -> None:
    server = start_server(script, "--worker_count", workers)
    old_pids = set(server.worker_pids())

    with trickle(server) as seen:
        poll(lambda: len(seen.answers) > 10, timeout=10)
        script.write_text(WORKING.format(answer="new"))
        server.signal(signal.SIGHUP)
        server.wait_for_log("the new workers have taken over")
        poll(lambda: not old_pids & set(server.worker_pids()), timeout=10)
        after = len(seen.answers)
        poll(lambda: len(seen.answers) > after + 5, timeout=10)

    assert seen.failures == []
    assert seen.statuses == {200}
    assert seen.answers[0].json() == "old"
    assert {answer.json() for answer in seen.answers[after + 1 :]} == {"new"}
    assert len(server.worker_pids()) == int(workers)


@pytest.mark.parametrize("fault", BROKEN)
def test_broken_code_leaves_the_old_one_serving(
    start_server: StartServer, script: Path, fault: str
) -> None:
    server = start_server(script)
    pids = server.worker_pids()
    source, line = BROKEN[fault]

    with trickle(server) as seen:
        script.write_text(source)
        server.signal(signal.SIGHUP)
        server.wait_for_log("Reload failed: .* keep serving the old script")

    assert seen.failures == []
    assert {answer.json() for answer in seen.answers} == {"old"}
    assert server.worker_pids() == pids
    server.wait_for_log(rf"^  \S*score\.py:{line}\b")
    script.write_text(WORKING.format(answer="mended"))
    server.signal(signal.SIGHUP)
    poll(lambda: server.score("x").json() == "mended", timeout=10)


def test_a_running_call_finishes_on_the_old_code(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server("records_calls.py")
    old_pids = server.worker_pids()

    with server.connect() as connection:
        connection.sendall(scoring_request("wait"))
        wait_for_line(tmp_path / "calls", "wait")
        server.signal(signal.SIGHUP)
        server.wait_for_log("the new workers have taken over")
        assert poll(lambda: server.score("new").status == 200, timeout=10)
        still_there = set(old_pids) <= set(server.worker_pids())
        (tmp_path / "release").touch()
        answer = connection.recv(65536)
        while block := connection.recv(65536):
            answer += block

    assert still_there
    assert parse_response(answer).json() == "wait"


def test_a_second_sighup_before_the_first_is_done_takes_over(
    start_server: StartServer, script: Path
) -> None:
    server = start_server(script)
    script.write_text("import time\ntime.sleep(30)\n" + WORKING.format(answer="too slow"))
    server.signal(signal.SIGHUP)
    poll(lambda: len(server.worker_pids()) == 2, timeout=10)

    script.write_text(WORKING.format(answer="newest"))
    server.signal(signal.SIGHUP)

    poll(lambda: server.score("x").json() == "newest", timeout=10)
    poll(lambda: len(server.worker_pids()) == 1, timeout=10)


def test_one_worker_that_fails_to_come_up_fails_no_request(
    start_server: StartServer, script: Path
) -> None:
    """With two workers the first new one already serves when the second one fails."""
    server = start_server(script, "--worker_count", "2")
    poll(lambda: metric(server, "azml_workers", state="ready") == 2, timeout=10)
    pids = set(server.worker_pids())

    with trickle(server) as seen:
        script.write_text(
            "import os, time\n"
            "def init():\n"
            "    try:\n"
            "        os.mkdir('first')\n"
            "    except FileExistsError:\n"
            "        time.sleep(1)\n"
            "        raise\n"
            "def run(data):\n"
            "    time.sleep(0.05)\n"
            "    return 'new'\n"
        )
        server.signal(signal.SIGHUP)
        server.wait_for_log("Reload failed")
        poll(lambda: set(server.worker_pids()) == pids, timeout=10)

    assert seen.failures == []
    assert seen.statuses == {200}
