"""When the requests of an open loop are due: arrival processes as pure functions."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator

MAX_ARRIVALS = 500_000


def poisson(rate: float, seconds: float, seed: int) -> list[float]:
    """Independent arrivals: seconds from the beginning, in order."""
    chance = random.Random(seed)
    return _within(seconds, lambda: chance.expovariate(rate))


def gamma(rate: float, seconds: float, seed: int, shape: float = 0.25) -> list[float]:
    """Arrivals in bursts, the more so the smaller the shape; 1 is `poisson`."""
    chance = random.Random(seed)
    return _within(seconds, lambda: chance.gammavariate(shape, 1 / (rate * shape)))


def even(rate: float, seconds: float) -> list[float]:
    """A trickle: one arrival after another at the same distance."""
    return [number / rate for number in range(min(int(rate * seconds), MAX_ARRIVALS))]


def _within(seconds: float, gap: Callable[[], float]) -> list[float]:
    due = itertools.takewhile(lambda at: at < seconds, itertools.accumulate(_endless(gap)))
    return list(itertools.islice(due, MAX_ARRIVALS))


def _endless(gap: Callable[[], float]) -> Iterator[float]:
    while True:
        yield gap()
