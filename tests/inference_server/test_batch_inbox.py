"""Where requests wait for their batch: on threads and on an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from inference_server.admission import Batch, Call
from inference_server.batching.inbox import AsyncBatchInbox, BatchInbox, Gathering
from inference_server.batching.policy import BatchPolicy

Inbox = BatchInbox[Call]


def eager(max_size: int = 4) -> BatchPolicy:
    """A policy that never waits."""
    return BatchPolicy(max_size, 0.0)


def patient(max_size: int = 4, max_wait_s: float = 100.0) -> BatchPolicy:
    """A policy that has learned to wait for a full batch."""
    policy = BatchPolicy(max_size, max_wait_s)
    for size in (1, max_size, 1, max_size):
        policy.cost.observe(size, 1000.0)
    policy.gathered(0.0, 1, [0.0] * max_size)
    return policy


def fill(put: Callable[[Call | None], None], count: int) -> list[Call]:
    calls = [Call() for _ in range(count)]
    for call in calls:
        put(call)
    return calls


def taken(batch: Batch[Call] | None) -> list[Call]:
    assert batch is not None
    return batch.calls


def test_what_waits_goes_together_up_to_the_limit_in_order():
    inbox = Inbox(eager(4))
    calls = fill(inbox.gathering.put, 6)

    assert not inbox.empty()
    assert inbox.gathering.is_full
    assert taken(inbox.get()) == calls[:4]
    assert not inbox.gathering.is_full
    assert taken(inbox.get()) == calls[4:]
    assert inbox.empty()


def test_the_first_request_is_waited_for():
    inbox = Inbox(eager())
    with ThreadPoolExecutor(1) as pool:
        got = pool.submit(inbox.get)
        calls = fill(inbox.gathering.put, 1)

        assert taken(got.result(10)) == calls


def test_a_batch_goes_when_it_is_full():
    inbox = Inbox(patient(4))
    with ThreadPoolExecutor(1) as pool:
        got = pool.submit(inbox.get)
        calls = fill(inbox.gathering.put, 4)

        assert taken(got.result(10)) == calls


def test_a_batch_goes_when_it_has_waited_long_enough():
    inbox = Inbox(patient(4, max_wait_s=0.01))
    calls = fill(inbox.gathering.put, 3)

    assert taken(inbox.get()) == calls


def test_nobody_is_woken_before_enough_have_come():
    wakes = []
    gathering: Gathering[Call] = Gathering(patient(4), lambda: wakes.append(1))
    fill(gathering.put, 1)
    assert gathering.look() > 0

    fill(gathering.put, 2)
    assert wakes == []
    fill(gathering.put, 1)

    assert wakes == [1]
    assert gathering.look() == 0


def test_every_thread_learns_of_the_end_and_what_waits_is_served_first():
    inbox = Inbox(patient(4))
    calls = fill(inbox.gathering.put, 1)
    inbox.gathering.put(None)

    assert taken(inbox.get()) == calls
    assert [inbox.get(), inbox.get()] == [None, None]


def test_threads_that_wait_learn_of_the_end():
    inbox = Inbox(eager())
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(inbox.get) for _ in range(3)]
        inbox.gathering.put(None)

        assert [got.result(10) for got in waiting] == [None] * 3


@pytest.mark.parametrize("policy", [eager, patient])
def test_nothing_is_lost_or_given_twice_among_threads(policy: Callable[[int], BatchPolicy]):
    inbox = Inbox(policy(3))
    received: list[Call] = []
    adding = threading.Lock()

    def work() -> None:
        while (batch := inbox.get()) is not None:
            assert 1 <= len(batch.calls) <= 3
            with adding:
                received.extend(batch.calls)
            inbox.gathering.learn_cost(len(batch.calls), 1e-4)

    with ThreadPoolExecutor(3) as pool:
        workers = [pool.submit(work) for _ in range(3)]
        calls = fill(inbox.gathering.put, 500)
        inbox.gathering.put(None)
        for worker in workers:
            worker.result(10)

    assert len(received) == 500
    assert {*received} == {*calls}


def test_tasks_of_an_event_loop_get_batches_too():
    async def scenario() -> list[list[Call]]:
        loop = asyncio.get_running_loop()
        inbox: AsyncBatchInbox[Call] = AsyncBatchInbox(patient(2), loop)
        first, second = (asyncio.ensure_future(inbox.get()) for _ in range(2))
        await loop.run_in_executor(None, fill, inbox.gathering.put, 4)
        batches = [taken(await asyncio.wait_for(task, 10)) for task in (first, second)]
        last = asyncio.ensure_future(inbox.get())
        await loop.run_in_executor(None, inbox.gathering.put, None)
        assert await asyncio.wait_for(last, 10) is None
        return batches

    first, second = asyncio.run(scenario())

    assert (len(first), len(second)) == (2, 2)


def test_a_wait_on_an_event_loop_ends_in_time():
    async def scenario() -> int:
        inbox: AsyncBatchInbox[Call] = AsyncBatchInbox(
            patient(4, max_wait_s=0.01), asyncio.get_running_loop()
        )
        fill(inbox.gathering.put, 3)
        return len(taken(await asyncio.wait_for(inbox.get(), 10)))

    assert asyncio.run(scenario()) == 3
