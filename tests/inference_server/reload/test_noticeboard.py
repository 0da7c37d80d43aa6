"""What processes tell each other through shared memory."""

from __future__ import annotations

import os

from inference_server.reload.noticeboard import Noticeboard, Request

ERROR = {"type": "ValueError", "message": "no", "traceback": ["x"], "source": "raise"}


def test_an_empty_board_says_nothing() -> None:
    board = Noticeboard()

    assert (board.request, board.failure, board.failure_by, board.modules) == (None, None, None, {})


def test_another_process_reads_what_one_wrote() -> None:
    board = Noticeboard()

    pid = os.fork()
    if pid == 0:
        board.ask(Request("state", "because"))
        board.report_failure(ERROR, os.getpid())
        board.report_modules({"numpy": "/x/numpy.py"})
        os._exit(0)
    os.waitpid(pid, 0)

    assert board.request == Request("state", "because")
    assert board.failure == ERROR
    assert board.failure_by == pid
    assert board.modules == {"numpy": "/x/numpy.py"}


def test_a_wish_is_put_up_once() -> None:
    board = Noticeboard()

    assert board.ask(Request("a", "x"))
    assert not board.ask(Request("a", "x"))
    assert board.ask(Request("", None))
    assert board.ask(Request("a", "x"))


def test_the_same_failure_is_no_news() -> None:
    board = Noticeboard()

    assert board.report_failure(ERROR, 1)
    assert not board.report_failure(ERROR, 2)
    assert board.failure_by == 2
    board.clear_failure()
    assert board.failure is None
    assert board.report_failure(ERROR, 2)


def test_a_long_failure_loses_its_traceback() -> None:
    board = Noticeboard()

    board.report_failure({**ERROR, "traceback": ["x" * 1000] * 100}, 1)

    assert board.failure == {**ERROR, "traceback": [], "source": None}


def test_more_modules_than_there_is_room_for_are_left_out() -> None:
    board = Noticeboard()
    modules = {f"module{number}": "/" + "x" * 200 for number in range(10_000)}

    board.report_modules(modules)

    assert 1000 < len(board.modules) < 10_000
    assert "module0" in board.modules


def test_a_long_reason_is_cut() -> None:
    board = Noticeboard()

    assert board.ask(Request("a", "ä" * 5000))
    assert not board.ask(Request("a", "ä" * 5000))

    assert board.request == Request("a", "ä" * 400)
