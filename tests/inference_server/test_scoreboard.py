"""The numbers that master and workers share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_server.scoreboard import (
    BATCH_BUCKETS,
    BUCKETS_S,
    Rejection,
    Scoreboard,
    Stage,
    WorkerState,
)
from tests.inference_server.support import few


def test_rows_are_taken_until_none_is_left():
    board = Scoreboard(2)

    first, second, unseen = board.take_row(), board.take_row(), board.take_row()

    assert list(board) == [first, second]
    assert unseen not in list(board)
    assert [row.state for row in (first, second, unseen)] == [WorkerState.STARTING] * 3


def test_a_released_row_keeps_its_totals_for_the_next_worker():
    board = Scoreboard(1)
    row = board.take_row()
    row.count_status(200)
    row.set_load(1, 2)
    row.note = "run() at score.py:1"

    row.release()

    assert (row.state, row.note, row.load) == (WorkerState.NONE, "", (0, 0))
    assert board.take_row() is row
    assert row.statuses == {200: 1}


def test_rows_do_not_touch_each_other():
    board = Scoreboard(3)
    first, middle, last = board

    middle.state = WorkerState.READY
    middle.set_load(3, 4)
    middle.note = "n" * 1000
    for code in (100, 599):
        middle.count_status(code)
    for stage in Stage:
        middle.observe(stage, 1e9)
    for reason in Rejection:
        middle.count_rejection(reason)
    middle.add_restart()
    middle.observe_batch(10**6)

    for other in (first, last):
        assert (other.state, other.load, other.note, other.statuses, other.restarts) == (
            WorkerState.NONE,
            (0, 0),
            "",
            {},
            0,
        )
        assert {*other.rejections.values()} == {0}
        assert {sum(other.histogram(stage).counts) for stage in Stage} == {0}
    assert (middle.load, middle.restarts, middle.statuses) == ((3, 4), 1, {100: 1, 599: 1})
    assert middle.rejections == dict.fromkeys(Rejection, 1)


def test_becoming_ready_is_remembered_with_its_time():
    (row,) = Scoreboard()
    assert row.ready_at == 0

    row.state = WorkerState.READY

    assert row.ready_at > 0


def test_some_worker_is_ready_or_none_is():
    board = Scoreboard(2)
    assert not board.any_ready

    board.take_row()
    board.take_row().state = WorkerState.READY

    assert board.any_ready


@pytest.mark.parametrize(
    ("code", "counted"), [(200, 200), (999, 599), (0, 100)], ids=["known", "too high", "too low"]
)
def test_a_status_outside_the_table_counts_at_its_edge(code: int, counted: int):
    (row,) = Scoreboard()

    row.count_status(code)

    assert row.statuses == {counted: 1}


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [
        pytest.param(0.0, 0, id="nothing"),
        pytest.param(BUCKETS_S[0], 0, id="a bound belongs to its bucket"),
        pytest.param(BUCKETS_S[3] + 1e-9, 4, id="just above a bound"),
        pytest.param(1e9, len(BUCKETS_S), id="beyond all bounds"),
    ],
)
def test_a_duration_counts_in_its_bucket(seconds: float, bucket: int):
    (row,) = Scoreboard()

    row.observe(Stage.RUN, seconds)

    histogram = row.histogram(Stage.RUN)
    assert [i for i, count in enumerate(histogram.counts) if count] == [bucket]
    assert (len(histogram.counts), histogram.total) == (len(BUCKETS_S) + 1, seconds)


def test_batches_count_by_their_size():
    (row,) = Scoreboard()
    row.count_status(599)

    for size in (1, 1, 16, 17, 5000):
        row.observe_batch(size)

    sizes = row.batch_sizes
    assert {i: count for i, count in enumerate(sizes.counts) if count} == {
        BATCH_BUCKETS.index(1): 2,
        BATCH_BUCKETS.index(16): 1,
        BATCH_BUCKETS.index(32): 1,
        len(BATCH_BUCKETS): 1,
    }
    assert sizes.total == 5035
    assert row.statuses == {599: 1}


@few
@given(st.text())
def test_any_note_can_be_left(text: str):
    (row,) = Scoreboard()
    row.note = "an older and longer note"

    row.note = text

    kept = text.encode(errors="replace")[:256].rstrip(b"\0").decode(errors="ignore")
    assert row.note == kept
