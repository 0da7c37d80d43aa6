"""The queue, the places, and who answers a call."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inference_server.admission import Admission, Batch, Call, CallState
from inference_server.errors import QueueFullError
from tests.inference_server.support import few


def admission_of(
    places: int = 1,
    max_queue: int = 1,
    deadline_s: float | None = None,
    grace_s: float = 1000,
    **more: Any,
) -> Admission[Call]:
    return Admission(
        places=places, max_queue=max_queue, deadline_s=deadline_s, grace_s=grace_s, **more
    )


def running(admission: Admission[Call]) -> Call:
    call = Call()
    admission.submit(call)
    assert admission.begin(call)
    return call


def numbers(admission: Admission[Call]) -> tuple[int, int, bool]:
    return admission.running, admission.waiting, admission.is_idle


def test_a_call_goes_through_queue_and_place():
    admission, call = admission_of(), Call()
    seen = [(call.state, numbers(admission))]

    admission.submit(call)
    seen.append((call.state, numbers(admission)))
    assert admission.begin(call)
    seen.append((call.state, numbers(admission)))
    assert admission.claim(call)
    seen.append((call.state, numbers(admission)))
    admission.end(call)
    seen.append((call.state, numbers(admission)))

    assert seen == [
        (CallState.QUEUED, (0, 0, True)),
        (CallState.QUEUED, (0, 1, False)),
        (CallState.RUNNING, (1, 0, False)),
        (CallState.ANSWERED, (1, 0, False)),
        (CallState.ANSWERED, (0, 0, True)),
    ]
    assert call.thread_id == threading.get_ident()
    assert call.queued_s >= 0


def test_a_call_that_waits_knows_how_long():
    assert Call().queued_s >= 0


def test_beyond_places_and_queue_calls_are_refused():
    admission = admission_of(places=2, max_queue=1)
    calls = [running(admission), running(admission), Call()]
    admission.submit(calls[2])

    with pytest.raises(QueueFullError) as caught:
        admission.submit(Call())

    assert caught.value.status == 429
    assert 1 <= caught.value.retry_after_s <= 60
    admission.end(calls[0])
    admission.submit(Call())


def test_without_a_queue_only_the_places_are_taken():
    admission = admission_of(places=1, max_queue=0)
    running(admission)

    with pytest.raises(QueueFullError):
        admission.submit(Call())


def test_submitted_calls_are_delivered_in_order_also_those_from_before():
    admission = admission_of(max_queue=9)
    calls = [Call() for _ in range(4)]
    inbox: list[Call | None] = []

    for call in calls[:2]:
        admission.submit(call)
    admission.deliver_to(inbox.append)
    for call in calls[2:]:
        admission.submit(call)

    assert inbox == calls


def test_every_place_is_told_that_no_more_will_come():
    admission = admission_of(places=3)
    inbox: list[Call | None] = []
    admission.deliver_to(inbox.append)

    admission.stop()

    assert inbox == [None, None, None]


def test_a_waiting_call_can_be_given_up():
    admission, call = admission_of(), Call()
    admission.submit(call)

    assert admission.abandon(call)

    assert (call.state, numbers(admission)) == (CallState.ABANDONED, (0, 0, True))
    assert not admission.begin(call)
    assert not admission.abandon(call)


def test_a_running_call_cannot_be_given_up():
    admission = admission_of()

    assert not admission.abandon(running(admission))


def test_all_waiting_calls_can_be_given_up():
    admission = admission_of(max_queue=5)
    call = running(admission)
    waiting = [Call(), Call()]
    for other in waiting:
        admission.submit(other)

    assert {*admission.abandon_all()} == {*waiting}
    assert numbers(admission) == (1, 0, False)
    assert call.state is CallState.RUNNING


def test_the_answers_of_all_running_calls_can_be_taken_over():
    admission = admission_of(places=2)
    first, second = running(admission), running(admission)
    assert admission.claim(second)

    assert admission.expire_all() == [first]
    assert (first.state, admission.claim(first)) == (CallState.OVERDUE, False)


class Watch:
    """Keeps what the watchdog reports."""

    def __init__(self, answer: Any = None) -> None:
        self.late: list[Call] = []
        self.lost: list[Call] = []
        self.told = threading.Event()
        self.told_lost = threading.Event()
        self._answer = answer

    def overdue(self, call: Call) -> None:
        self.late.append(call)
        self.told.set()

    def stuck(self, call: Call) -> None:
        self.lost.append(call)
        self.told_lost.set()


@pytest.fixture
def stopped() -> Iterator[list[Admission[Call]]]:
    """Admissions whose watchdogs are stopped with the test."""
    started: list[Admission[Call]] = []
    yield started
    for admission in started:
        admission.stop()


def watched(stopped: list[Admission[Call]], watch: Watch, **more: Any) -> Admission[Call]:
    admission = admission_of(**more)
    stopped.append(admission)
    admission.start_watchdog(watch)
    return admission


def test_a_call_past_its_deadline_is_reported_once_and_answered_by_the_watcher(
    stopped: list[Admission[Call]],
):
    watch = Watch()
    admission = watched(stopped, watch, deadline_s=0.01)
    call = running(admission)

    assert watch.told.wait(10)

    assert (watch.late, call.state, admission.claim(call)) == ([call], CallState.OVERDUE, False)
    assert numbers(admission) == (1, 0, False)
    admission.end(call)
    assert numbers(admission) == (0, 0, True)


def test_a_call_that_never_returns_is_reported_as_stuck_once(stopped: list[Admission[Call]]):
    watch = Watch()
    admission = watched(stopped, watch, places=2, deadline_s=0.01, grace_s=0.01)
    call = running(admission)
    assert watch.told_lost.wait(10)
    watch.told_lost.clear()

    other = running(admission)
    assert watch.told_lost.wait(10)

    assert (watch.late, watch.lost) == ([call, other], [call, other])


def test_a_call_that_was_answered_in_time_is_not_reported(stopped: list[Admission[Call]]):
    watch = Watch()
    admission = watched(stopped, watch, places=2, deadline_s=0.01, grace_s=0)
    answered = running(admission)
    assert admission.claim(answered)

    late = running(admission)
    assert watch.told_lost.wait(10)

    assert (watch.late, watch.lost) == ([late], [late])


def test_without_a_deadline_there_is_no_watchdog(stopped: list[Admission[Call]]):
    before = threading.active_count()

    watched(stopped, Watch(), deadline_s=None)

    assert threading.active_count() == before


def batch_of(admission: Admission[Call], count: int) -> Batch[Call]:
    calls = [Call() for _ in range(count)]
    for call in calls:
        admission.submit(call)
    return Batch(calls)


def test_a_batch_takes_one_place_and_leaves_out_who_has_left():
    admission = admission_of(max_queue=9)
    batch = batch_of(admission, 4)
    calls = batch.calls
    admission.abandon(calls[1])

    assert admission.begin_batch(batch)

    assert batch.calls == batch.requests() == [calls[0], calls[2], calls[3]]
    assert {call.state for call in (batch, *batch.calls)} == {CallState.RUNNING}
    assert numbers(admission) == (1, 0, False)
    admission.end(batch)
    assert numbers(admission) == (0, 0, True)


def test_a_batch_that_everyone_has_left_takes_no_place():
    admission = admission_of(max_queue=9)
    batch = batch_of(admission, 2)
    admission.abandon_all()

    assert not admission.begin_batch(batch)
    assert numbers(admission) == (0, 0, True)


def test_free_places_let_in_as_many_as_their_batches_take():
    admission = admission_of(places=2, max_queue=1)
    admission.widen_places(3)
    first = batch_of(admission, 7)
    with pytest.raises(QueueFullError):
        admission.submit(Call())

    assert admission.begin_batch(Batch(first.calls[:3]))

    assert admission.waiting == 4
    with pytest.raises(QueueFullError):
        admission.submit(Call())
    assert admission.begin_batch(Batch(first.calls[3:6]))
    assert admission.waiting == 1
    with pytest.raises(QueueFullError):
        admission.submit(Call())


def test_an_overdue_batch_leaves_only_its_unanswered_requests_to_answer(
    stopped: list[Admission[Call]],
):
    watch = Watch()
    admission = watched(stopped, watch, max_queue=9, deadline_s=0.01)
    batch = batch_of(admission, 3)
    assert admission.begin_batch(batch)
    answered, *others = batch.calls
    assert admission.claim(answered)

    assert watch.told.wait(10)

    assert watch.late == [batch]
    assert admission.expire(batch) == others
    assert admission.expire(batch) == []
    assert not admission.claim(batch)
    assert not any(admission.claim(call) for call in batch.calls)


def test_the_answers_of_a_running_batch_can_be_taken_over():
    admission = admission_of(max_queue=9)
    batch = batch_of(admission, 2)
    assert admission.begin_batch(batch)

    assert admission.expire_all() == batch.calls
    assert not any(admission.claim(call) for call in batch.calls)


class Scenario(RuleBasedStateMachine):
    """Any order of events leaves the numbers right, and gives each call one answer at most."""

    def __init__(self) -> None:
        super().__init__()
        self.places, self.max_queue = 2, 2
        self.admission = admission_of(self.places, self.max_queue)
        self.waiting: list[Call] = []
        self.running: list[Call] = []
        self.answers: dict[Call, int] = {}

    @rule()
    def submit(self) -> None:
        call = Call()
        full = len(self.waiting) + len(self.running) >= self.places + self.max_queue
        if full:
            with pytest.raises(QueueFullError):
                self.admission.submit(call)
        else:
            self.admission.submit(call)
            self.waiting.append(call)

    @precondition(lambda self: self.waiting)
    @rule(index=st.integers(0, 3))
    def abandon(self, index: int) -> None:
        call = self.waiting.pop(index % len(self.waiting))
        assert self.admission.abandon(call)
        self.answers[call] = 1

    @precondition(lambda self: self.waiting and len(self.running) < self.places)
    @rule()
    def begin(self) -> None:
        call = self.waiting.pop(0)
        assert self.admission.begin(call)
        self.running.append(call)

    @precondition(lambda self: self.running)
    @rule(index=st.integers(0, 1), answers=st.booleans())
    def end(self, index: int, answers: bool) -> None:
        call = self.running.pop(index % len(self.running))
        if answers and self.admission.claim(call):
            self.answers[call] = self.answers.get(call, 0) + 1
        self.admission.end(call)

    @rule()
    def expire(self) -> None:
        for call in self.admission.expire_all():
            self.answers[call] = self.answers.get(call, 0) + 1

    @invariant()
    def numbers_are_right(self) -> None:
        assert numbers(self.admission) == (
            len(self.running),
            len(self.waiting),
            not self.running and not self.waiting,
        )

    @invariant()
    def nobody_is_answered_twice(self) -> None:
        assert {*self.answers.values()} <= {1}


TestScenario = Scenario.TestCase
TestScenario.settings = few


def fill(admission: Admission[Call]) -> list[Call]:
    """Submit calls until one is refused."""
    calls: list[Call] = []
    while True:
        call = Call()
        try:
            admission.submit(call)
        except QueueFullError:
            return calls
        calls.append(call)


def test_a_queue_that_overflowed_stays_short_until_it_was_empty():
    admission = admission_of(max_queue=50)
    first = running(admission)
    waiting = fill(admission)
    assert len(waiting) == 50
    assert admission.is_overloaded

    # A call is taken to last 0.1 s, so that five of them are half a second of waiting.
    for call in waiting[:46]:
        admission.abandon(call)
    assert not admission.is_overloaded
    assert len(fill(admission)) == 1

    admission.abandon_all()
    assert len(fill(admission)) == 50
    admission.end(first)


def test_a_short_queue_is_not_made_shorter():
    admission = admission_of(places=2, max_queue=2)
    running(admission)
    running(admission)

    assert len(fill(admission)) == 2
    admission.abandon_all()
    assert len(fill(admission)) == 2


def delivered(admission: Admission[Call]) -> list[Call | None]:
    inbox: list[Call | None] = []
    admission.deliver_to(inbox.append)
    return inbox


def test_held_calls_wait_and_start_in_their_order_after_release():
    admission = admission_of(places=2, max_queue=5)
    inbox = delivered(admission)
    calls = [Call() for _ in range(3)]
    for call in calls[:2]:
        admission.submit(call)

    assert admission.hold(0)
    admission.submit(calls[2])
    started = [admission.begin(call) for call in calls[:2]]
    admission.release()

    assert started == [False, False]
    assert inbox == [*calls[:2], *calls]
    assert all(admission.begin(call) for call in calls)


def test_hold_waits_for_the_calls_that_run():
    admission = admission_of()
    call = running(admission)
    held: list[bool] = []

    thread = threading.Thread(target=lambda: held.append(admission.hold(None)))
    thread.start()
    assert not held
    admission.end(call)
    thread.join(10)

    assert held == [True]


def test_a_call_that_goes_on_makes_hold_give_up():
    admission = admission_of()
    running(admission)

    assert not admission.hold(0)
    admission.release()


def test_a_held_call_can_be_abandoned():
    admission, call = admission_of(), Call()
    inbox = delivered(admission)
    admission.hold(0)
    admission.submit(call)

    assert admission.abandon(call)
    admission.release()

    assert inbox == [call]
    assert not admission.begin(call)


def test_a_held_batch_gives_its_calls_back():
    admission = admission_of(max_queue=5)
    inbox = delivered(admission)
    calls = [Call(), Call()]
    for call in calls:
        admission.submit(call)
    admission.hold(0)

    assert not admission.begin_batch(Batch(list(calls)))
    admission.release()

    assert inbox == [*calls, *calls]
    assert admission.begin_batch(Batch(list(calls)))
