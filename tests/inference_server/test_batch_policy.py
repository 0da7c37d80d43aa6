"""When a batch goes: the cost that is learned, and the decision, on a simulated clock."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_server.batching.cost import BatchCost
from inference_server.batching.policy import BatchPolicy, Hold
from tests.inference_server.support import few

MS = 0.001


@dataclass
class Simulation:
    """One place in front of a device, and requests that come by a rule, all on a clock of its own.

    Clients in a closed loop send their next request `turnaround_s` after their answer, one after
    the other, as a server on one core reads them.
    """

    policy: BatchPolicy
    fixed_s: float
    each_s: float
    turnaround_s: float
    now: float = 0.0
    sizes: list[int] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)
    latencies_s: list[float] = field(default_factory=list)

    def closed_loop(self, clients: int, batches: int) -> Simulation:
        """Run so many batches for so many clients."""
        coming = deque(self.now + (n + 1) * self.turnaround_s for n in range(clients))
        for _ in range(batches):
            size = self._serve(coming)
            coming.extend(self.now + (n + 1) * self.turnaround_s for n in range(size))
        return self

    def open_loop(self, arrivals: Iterable[float]) -> Simulation:
        """Serve requests that come at these times, whatever becomes of them."""
        coming = deque(arrivals)
        while coming:
            self._serve(coming)
        return self

    def _serve(self, coming: deque[float]) -> int:
        self.now = free_at = max(self.now, coming[0])
        size = in_hand = self._arrived(coming)
        while True:
            quiet_s = self.now - max(coming[size - 1], free_at)
            hold = self.policy.hold(size, self.now - free_at, quiet_s)
            if hold is None:
                break
            enough_at = coming[hold.wanted - 1] if len(coming) >= hold.wanted else math.inf
            # The smallest step of a real clock.
            self.now = max(min(self.now + hold.timeout_s, enough_at), self.now + 1e-6)
            size = self._arrived(coming)
        arrivals = [coming.popleft() for _ in range(size)]
        self.policy.gathered(free_at, in_hand, arrivals)
        self.waits_s.append(self.now - free_at)
        seconds = self.fixed_s + size * self.each_s
        self.now += seconds
        self.policy.cost.observe(size, seconds)
        self.sizes.append(size)
        self.latencies_s.extend(self.now - arrival for arrival in arrivals)
        return size

    def _arrived(self, coming: deque[float]) -> int:
        there = 0
        while there < min(len(coming), self.policy.limit) and coming[there] <= self.now:
            there += 1
        return there


def simulation(
    max_size: int = 64,
    max_wait_s: float = 10 * MS,
    fixed_s: float = 10 * MS,
    each_s: float = 0.05 * MS,
    turnaround_s: float = 0.1 * MS,
) -> Simulation:
    return Simulation(BatchPolicy(max_size, max_wait_s), fixed_s, each_s, turnaround_s)


def test_the_cost_of_a_batch_is_learned_from_its_size():
    cost = BatchCost()

    for size in (1, 16, 4, 32, 8, 2):
        cost.observe(size, 10 * MS + size * 0.05 * MS)

    assert cost.fixed_s == pytest.approx(10 * MS, rel=0.02)
    assert cost.each_s == pytest.approx(0.05 * MS, rel=0.02)
    assert cost.of(64) == pytest.approx(13.2 * MS, rel=0.02)


def test_a_cost_that_grows_with_the_size_alone_has_no_fixed_part():
    cost = BatchCost()

    for size in (1, 16, 4, 32, 8, 2):
        cost.observe(size, size * MS)

    assert cost.fixed_s == pytest.approx(0, abs=0.1 * MS)
    assert cost.each_s == pytest.approx(MS, rel=0.01)


def test_one_slow_batch_changes_little():
    cost = BatchCost()
    for size in (1, 2, 4, 8) * 5:
        cost.observe(size, 10 * MS)

    cost.observe(4, 10.0)

    assert cost.of(4) < 12 * MS


def test_a_model_that_becomes_slower_is_noticed():
    cost = BatchCost()
    for size in (1, 2, 4, 8) * 20:
        cost.observe(size, MS)

    for size in (1, 2, 4, 8) * 50:
        cost.observe(size, 100 * MS)

    assert cost.of(4) == pytest.approx(100 * MS, rel=0.1)


@few
@given(
    st.lists(st.tuples(st.integers(1, 4096), st.floats(0, 1e4, allow_nan=False)), min_size=1),
)
def test_no_part_of_the_cost_is_ever_negative(measured: list[tuple[int, float]]):
    cost = BatchCost()

    for size, seconds in measured:
        cost.observe(size, seconds)

    assert cost.is_known
    assert cost.fixed_s >= 0
    assert cost.each_s >= 0
    assert math.isfinite(cost.of(4096))


def test_nothing_is_waited_for_before_anything_is_known():
    assert BatchPolicy(16, 1.0).hold(1, 0, 0) is None


@pytest.mark.parametrize("fixed_ms", [0.1, 1, 10, 1000])
def test_a_lone_client_never_waits(fixed_ms: float):
    run = simulation(fixed_s=fixed_ms * MS).closed_loop(clients=1, batches=50)

    assert {*run.sizes} == {1}
    assert sum(run.waits_s) == 0


@pytest.mark.parametrize("clients", [2, 10, 40, 64])
def test_clients_in_a_closed_loop_end_up_in_one_batch(clients: int):
    run = simulation(turnaround_s=0.075 * MS).closed_loop(clients, batches=200)

    assert {*run.sizes[-50:]} == {clients}


def test_batches_are_full_when_there_are_more_clients_than_places_in_one():
    run = simulation(max_size=16).closed_loop(clients=64, batches=100)

    assert {*run.sizes[-50:]} == {16}
    assert sum(run.waits_s[-50:]) == 0


def test_fewer_clients_are_noticed_and_more_again():
    run = simulation(turnaround_s=0.075 * MS).closed_loop(64, batches=100)
    assert run.sizes[-1] == 64

    run.closed_loop(10, batches=100)
    assert {*run.sizes[-50:]} == {10}
    assert run.waits_s[-1] < 1.5 * MS

    run.closed_loop(64, batches=300)
    assert {*run.sizes[-50:]} == {64}


def test_a_device_without_a_fixed_cost_is_never_waited_for():
    run = simulation(fixed_s=0.0, each_s=MS).closed_loop(clients=8, batches=200)

    assert sum(run.waits_s[-100:]) < 1 * MS


def test_rare_requests_are_not_held_back():
    chance = random.Random(1)
    arrivals, now = [], 0.0
    for _ in range(400):
        now += chance.expovariate(5)
        arrivals.append(now)

    run = simulation().open_loop(arrivals)

    assert sum(run.waits_s) / len(run.waits_s) < 0.2 * MS


@pytest.mark.parametrize("rate", [50, 200, 1000])
def test_holding_back_pays_for_random_arrivals(rate: float):
    """Never much worse than going at once, which is what `max_wait_ms` 0 does."""
    chance = random.Random(2)
    arrivals, now = [], 0.0
    for _ in range(2000):
        now += chance.expovariate(rate)
        arrivals.append(now)

    adaptive = simulation().open_loop(arrivals)
    at_once = simulation(max_wait_s=0.0).open_loop(arrivals)

    mean_s = sum(adaptive.latencies_s) / len(arrivals)
    mean_at_once_s = sum(at_once.latencies_s) / len(arrivals)
    assert mean_s < 1.05 * mean_at_once_s
    assert len(adaptive.sizes) <= len(at_once.sizes)


def throughput(max_wait_s: float, clients: int, **device: Any) -> float:
    """Requests per second of clients in a closed loop, once everything has been learned."""
    run = simulation(max_wait_s=max_wait_s, **device).closed_loop(clients, batches=60)
    started, served = run.now, sum(run.sizes)
    run.closed_loop(clients, batches=60)
    return (sum(run.sizes) - served) / (run.now - started)


@settings(max_examples=10, deadline=None)
@given(
    clients=st.integers(1, 40),
    max_size=st.sampled_from([4, 16, 64]),
    fixed_s=st.floats(0.0001, 0.1),
    each_s=st.floats(0, 0.01),
    turnaround_s=st.floats(0.00001, 0.001),
)
def test_no_device_and_no_crowd_makes_holding_back_a_loss(clients: int, **device: Any):
    assert throughput(10 * MS, clients, **device) > 0.85 * throughput(0.0, clients, **device)


def learned(policy: BatchPolicy, fixed_s: float, each_s: float) -> BatchPolicy:
    """The policy after it has seen such a device and a crowd of clients."""
    Simulation(policy, fixed_s, each_s, turnaround_s=0.01 * MS).closed_loop(
        policy.limit, batches=30
    )
    return policy


times = st.floats(0, 0.1, allow_nan=False)


@few
@given(
    st.integers(1, 64), times, times, st.floats(0, 0.05), st.floats(0, 0.005), st.floats(0.001, 0.2)
)
def test_a_hold_keeps_within_all_its_bounds(
    size: int, held_s: float, quiet_s: float, fixed_s: float, each_s: float, deadline_s: float
):
    policy = learned(BatchPolicy(64, 10 * MS, deadline_s), fixed_s, each_s)

    hold = policy.hold(size, held_s, min(quiet_s, held_s))

    if hold is not None:
        assert size < hold.wanted <= policy.limit <= 64
        assert 0 < hold.timeout_s <= 10 * MS - held_s
        assert held_s + hold.timeout_s + policy.cost.of(size + 1) <= deadline_s


def test_a_batch_gets_no_larger_than_the_deadline_allows():
    policy = learned(BatchPolicy(64, 10 * MS, deadline_s=0.1), fixed_s=MS, each_s=10 * MS)

    assert policy.limit == 8
    assert policy.hold(8, 0, 0) is None


def test_the_wait_ends_when_nobody_comes_in_time():
    policy = learned(BatchPolicy(64, 10 * MS), fixed_s=10 * MS, each_s=0.0)
    assert isinstance(policy.hold(4, 0, 0), Hold)

    assert policy.hold(4, 9 * MS, policy.patience_s(4)) is None
