"""Who sends the answers of a batch: its own thread, or one beside it."""

from __future__ import annotations

import threading
from functools import partial

from inference_server.batching.answers import AnswerThread


def test_answers_are_sent_beside_a_run_that_waits():
    answers = AnswerThread()
    assert not answers.is_worth_it

    for _ in range(10):
        answers.note_run(seconds=0.01, computed_s=0.0001)
    assert answers.is_worth_it

    for _ in range(10):
        answers.note_run(seconds=0.01, computed_s=0.01)
    assert not answers.is_worth_it


def test_a_call_too_short_to_measure_counts_as_computing():
    answers = AnswerThread()
    for _ in range(20):
        answers.note_run(seconds=0.01, computed_s=0.0)

    for _ in range(20):
        answers.note_run(seconds=0.0, computed_s=0.0)

    assert not answers.is_worth_it


def test_answers_are_sent_in_order_on_one_other_thread():
    answers, done = AnswerThread(), threading.Event()
    sent: list[tuple[int, str]] = []

    def send(number: int) -> None:
        sent.append((number, threading.current_thread().name))

    for number in range(3):
        answers.send(partial(send, number))
    answers.send(done.set)

    assert done.wait(10)
    assert sent == [(0, "answers"), (1, "answers"), (2, "answers")]
