"""The master's side: each wish once, and how new workers fared."""

from __future__ import annotations

import os
import signal

import pytest

from inference_server.reload.noticeboard import Request
from inference_server.reload.reloads import Reloads, refusal
from inference_server.scoreboard import Row, Scoreboard, WorkerState
from inference_server.worker_pool import Fate, Role, WorkerPool

ERROR = {"type": "ValueError", "message": "no\nmodel", "file": "score.py", "line": 3}


@pytest.fixture
def reloads() -> Reloads:
    return Reloads(wake=lambda: None)


class Workers:
    """A pool whose workers are numbers, and what was done with them."""

    def __init__(self, reloads: Reloads) -> None:
        self.rows: dict[int, Row] = {}
        self.killed: list[tuple[int, int]] = []
        self.pool = WorkerPool(Scoreboard(rows=9), self._spawn, self._kill, reloads)

    def _spawn(self, row: Row) -> int:
        pid = 100 + len(self.rows)
        self.rows[pid] = row
        return pid

    def _kill(self, pid: int, number: int) -> None:
        self.killed.append((pid, number))

    def ready(self, pid: int) -> None:
        self.rows[pid].state = WorkerState.READY
        self.pool.manage(1)


@pytest.fixture
def workers(reloads: Reloads) -> Workers:
    workers = Workers(reloads)
    workers.pool.manage(1)
    workers.ready(100)
    return workers


def roles(workers: Workers) -> dict[int, Role]:
    return {pid: charge.role for pid, charge in workers.pool.charges.by_pid.items()}


def test_a_wish_starts_one_new_worker_however_often_it_is_read(
    workers: Workers, reloads: Reloads
) -> None:
    reloads.board.ask(Request("a", "init() changed"))

    workers.pool.manage(1)
    workers.pool.manage(1)

    assert roles(workers) == {100: Role.SERVING, 101: Role.STANDBY}
    workers.ready(101)
    assert roles(workers) == {100: Role.RETIRING, 101: Role.SERVING}
    assert workers.killed == [(100, signal.SIGTERM)]


def test_a_newer_wish_replaces_the_worker_that_still_loads(
    workers: Workers, reloads: Reloads
) -> None:
    for state in ("a", "b"):
        reloads.board.ask(Request(state, "init() changed"))
        workers.pool.manage(1)

    assert roles(workers) == {100: Role.SERVING, 101: Role.RETIRING, 102: Role.STANDBY}


def test_a_wish_that_is_taken_back_ends_the_worker_that_loads(
    workers: Workers, reloads: Reloads
) -> None:
    reloads.board.ask(Request("a", "init() changed"))
    workers.pool.manage(1)

    reloads.board.ask(Request("", None))
    workers.pool.manage(1)

    assert workers.killed == [(101, signal.SIGKILL)]


def test_the_same_files_can_be_wanted_again_after_they_were_served(
    workers: Workers, reloads: Reloads
) -> None:
    reloads.board.report_failure(ERROR, 1)
    reloads.board.ask(Request("a", "init() changed"))
    workers.pool.manage(1)
    workers.ready(101)

    assert reloads.board.failure is None
    assert reloads.board.ask(Request("a", "init() changed"))
    assert reloads.next_request() == Request("a", "init() changed")


def test_a_worker_that_could_say_why_it_failed_is_believed(
    workers: Workers, reloads: Reloads, caplog: pytest.LogCaptureFixture
) -> None:
    reloads.board.ask(Request("a", "init() changed"))
    workers.pool.manage(1)
    reloads.board.report_failure(ERROR, 101)

    workers.pool.note_end(Fate(101, 3, None))

    assert reloads.board.failure == ERROR
    assert refusal(ERROR) in caplog.text


def test_a_worker_that_could_not_is_described(workers: Workers, reloads: Reloads) -> None:
    reloads.board.report_failure(ERROR, 99)
    reloads.board.ask(Request("a", "init() changed"))
    workers.pool.manage(1)
    workers.rows[101].note = "init() at score.py:3"

    workers.pool.note_end(Fate(101, None, signal.SIGSEGV))

    assert reloads.board.failure == {
        "type": "WorkerEnded",
        "message": "the new worker was sent SIGSEGV! It was in init() at score.py:3.",
        "file": None,
        "line": None,
    }


def test_forks_wait_for_imports(workers: Workers, reloads: Reloads) -> None:
    reloads.board.report_modules({"no_such_module": "/x.py"})
    reloads.board.ask(Request("a", "init() changed"))

    while 101 not in workers.rows:
        workers.pool.manage(1)

    assert not reloads.forks_must_wait()


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ERROR, "Not reloaded: score.py:3: ValueError: no model; the old code keeps serving"),
        (
            {"type": "WorkerEnded", "message": "it died", "file": None, "line": None},
            "Not reloaded: WorkerEnded: it died; the old code keeps serving",
        ),
    ],
)
def test_the_log_says_on_one_line_why_it_was_not_reloaded(
    error: dict[str, object], line: str
) -> None:
    assert refusal(error) == line


def test_the_board_is_the_one_of_the_master(reloads: Reloads) -> None:
    pid = os.fork()
    if pid == 0:
        reloads.board.ask(Request("a", "b"))
        os._exit(0)
    os.waitpid(pid, 0)

    assert reloads.next_request() == Request("a", "b")
    assert reloads.next_request() is None
