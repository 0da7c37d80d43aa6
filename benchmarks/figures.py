"""What is measured and what came out: plain values, with no word about how."""

from __future__ import annotations

import enum
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WIDE = 0.3
"""Spread, relative to the median, from which a figure says more about the machine."""


class Verdict(enum.Enum):
    """Whether a target was reached."""

    MET = "met"
    MISSED = "**missed**"


@dataclass(frozen=True)
class Target:
    """A bound for our figure, as a multiple of the reference's.

    Attributes:
        bound: The multiple.
        at_least: Whether more is better.
    """

    bound: float
    at_least: bool

    def verdict(self, ratio: float) -> Verdict:
        """Judge a ratio of ours to the reference."""
        reached = ratio >= self.bound if self.at_least else ratio <= self.bound
        return Verdict.MET if reached else Verdict.MISSED

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g} x"


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        name: Key in the JSON results.
        title: First column of the table.
        unit: Written behind the title.
        how: How it is measured, one sentence.
        target: What the project promises, if it promises anything.
        digits: Decimals shown.
        topic: What is explained once for several figures; the title unless they share one.
    """

    name: str
    title: str
    unit: str
    how: str
    target: Target | None = None
    digits: int = 0
    topic: str = ""


@dataclass(frozen=True)
class Sample:
    """One measured value of one server in one round."""

    figure: str
    server: str
    round: int
    value: float


@dataclass(frozen=True)
class Summary:
    """Median and range of a server's samples of one figure."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Summary:
        """Summarise samples.

        Raises:
            ValueError: There are none.
        """
        if not values:
            raise ValueError("there are no samples to summarise")
        return cls(statistics.median(values), min(values), max(values), len(values))

    @property
    def is_wide(self) -> bool:
        """The samples differ so much that the machine cannot have been quiet."""
        return self.high - self.low > WIDE * self.median

    def ratio_to(self, other: Summary) -> float:
        """How many times the other median this one is.

        Raises:
            ZeroDivisionError: The other median is 0.
        """
        return self.median / other.median


def summarise(samples: Iterable[Sample]) -> dict[tuple[str, str], Summary]:
    """Summaries by figure and server, in order of first appearance."""
    values: dict[tuple[str, str], list[float]] = {}
    for sample in samples:
        values.setdefault((sample.figure, sample.server), []).append(sample.value)
    return {key: Summary.of(group) for key, group in values.items()}
