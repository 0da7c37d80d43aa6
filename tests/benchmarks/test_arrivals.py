"""Arrival processes: their rate, their order, their repeatability."""

from __future__ import annotations

import statistics
from itertools import pairwise

import pytest

from benchmarks.arrivals import MAX_ARRIVALS, even, gamma, poisson


@pytest.mark.parametrize("process", [poisson, gamma])
def test_arrivals_are_in_order_and_as_many_as_asked_for(process):
    due = process(1000, 20, 7)

    assert due == sorted(due)
    assert due[0] > 0
    assert due[-1] < 20
    assert len(due) == pytest.approx(20_000, rel=0.05)


@pytest.mark.parametrize("process", [poisson, gamma])
def test_the_same_seed_gives_the_same_arrivals(process):
    assert process(100, 5, 1) == process(100, 5, 1)
    assert process(100, 5, 1) != process(100, 5, 2)


def variation(due: list[float]) -> float:
    gaps = [later - earlier for earlier, later in pairwise(due)]
    return statistics.stdev(gaps) / statistics.mean(gaps)


def test_gamma_arrivals_come_in_bursts_and_poisson_ones_do_not():
    assert variation(poisson(1000, 20, 3)) == pytest.approx(1, rel=0.05)
    assert variation(gamma(1000, 20, 3)) == pytest.approx(2, rel=0.1)


def test_a_trickle_is_even():
    assert even(4, 1) == [0, 0.25, 0.5, 0.75]


def test_arrivals_are_bounded():
    assert len(even(1e9, 60)) == MAX_ARRIVALS
