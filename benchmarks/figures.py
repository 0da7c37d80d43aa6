"""What is measured and what came out: plain values, with no word about how."""

from __future__ import annotations

import enum
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

WIDE = 0.3
"""Spread, relative to the median, from which a figure says more about the machine."""


class Better(enum.Enum):
    """Which way a figure improves."""

    MORE = "more"
    LESS = "less"

    def wins(self, one: float, other: float) -> bool:
        """Whether one value is better than the other."""
        return one > other if self is Better.MORE else one < other

    def best(self, values: Iterable[float]) -> float:
        """The best of some values.

        Raises:
            ValueError: There are none.
        """
        return max(values) if self is Better.MORE else min(values)


@dataclass(frozen=True)
class Figure:
    """One line of a table.

    Attributes:
        name: Key in the results; unique.
        title: First column of the table.
        unit: Written behind the title.
        how: How it is measured, a part of a sentence; empty where another figure's says it.
        better: Which way it improves.
        digits: Decimals shown.
        in_chart: Whether the workload's chart has a panel for it.
    """

    name: str
    title: str
    unit: str
    how: str = ""
    better: Better = Better.MORE
    digits: int = 0
    in_chart: bool = False

    @property
    def label(self) -> str:
        """Title and unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def text(self, value: float) -> str:
        """A value as it is printed."""
        return f"{value:,.{self.digits}f}"


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

    def overlaps(self, other: Summary) -> bool:
        """Whether the two ranges have values in common."""
        return self.low <= other.high and other.low <= self.high


Summaries = Mapping[tuple[str, str], Summary]
"""Summaries by figure and server."""


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of the values do not exceed.

    Raises:
        ValueError: There are no values.
    """
    if not values:
        raise ValueError("there are no values to take a percentile of")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
