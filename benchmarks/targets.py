"""What the project promises, and whether a run kept it."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.figures import Better, Figure, Summaries
from benchmarks.workloads import FIGURES


class Verdict(enum.Enum):
    """Whether a target was reached."""

    MET = "met"
    MISSED = "**missed**"
    UNKNOWN = "not measured"


@dataclass(frozen=True)
class Target:
    """A bound for one of our figures, mostly as a multiple of somebody else's.

    Attributes:
        what: What is promised about, as a reader sees it.
        figure: Its name.
        ours: Our servers; the best of them counts.
        bound: The multiple, or the value where there is nobody to compare with.
        against: Servers to compare with; the best of them counts.
        than: What they are called.
        missed_because: The reason and what was tried, for as long as it is missed.
    """

    what: str
    figure: str
    ours: tuple[str, ...]
    bound: float
    against: tuple[str, ...] = ()
    than: str = ""
    missed_because: str = ""

    @property
    def promise(self) -> str:
        """The bound in words."""
        sign = "≥" if self._figure.better is Better.MORE else "≤"
        value = f"{sign} {self.bound:g}"
        return f"{value} x {self.than}" if self.against else f"{value} {self._figure.unit}".rstrip()

    @property
    def _figure(self) -> Figure:
        return FIGURES[self.figure]

    def judge(self, summaries: Summaries) -> Judgement:
        """Compare medians."""
        best = self._figure.better.best
        ours = [summaries[self.figure, name].median for name in self.ours
                if (self.figure, name) in summaries]  # fmt: skip
        theirs = [summaries[self.figure, name].median for name in self.against
                  if (self.figure, name) in summaries]  # fmt: skip
        if not ours or (self.against and not theirs):
            return Judgement(self, None, Verdict.UNKNOWN)
        value = best(ours) / best(theirs) if self.against else best(ours)
        is_met = value == self.bound or self._figure.better.wins(value, self.bound)
        return Judgement(self, value, Verdict.MET if is_met else Verdict.MISSED)


@dataclass(frozen=True)
class Judgement:
    """A target beside what was measured; `value` is in the target's terms."""

    target: Target
    value: float | None
    verdict: Verdict

    @property
    def measured(self) -> str:
        """The value in words."""
        if self.value is None:
            return "-"
        if self.target.against:
            return f"{self.value:.2f} x"
        figure = FIGURES[self.target.figure]
        return f"{figure.text(self.value)} {figure.unit}".rstrip()

    @property
    def in_short(self) -> str:
        """Value, comparison, bound, and a word unless it was reached."""
        sign = (
            self.target.promise.partition(" x ")[0] if self.target.against else self.target.promise
        )
        miss = "" if self.verdict is Verdict.MET else f", {self.verdict.value}"
        return f"{self.measured} {self.target.than}".rstrip() + f" ({sign}{miss})"


_GUNICORN, _GRANIAN, _REFERENCE = ("azml",), ("azml-granian",), ("reference",)
_PEERS = ("reference", "fastapi", "fastapi-async", "litserve", "mlserver", "bentoml")

_REQUEST_COST = (
    "a request takes Granian some 35 µs of processor time on this machine, and ids, queue, "
    "deadline, binding, two log lines and counts, all in Python, some 65 µs more. Tried: Granian's "
    "RSGI instead of WSGI (a third slower), fewer blocking threads and other switch intervals (no "
    "difference); kept: run() on the thread that brought the request, ids without a system call, "
    "one JSON encoder, lines written together (from 150 to 100 µs)"
)
_ALONE_COST = (
    "the switches between Granian's threads take most of the time of a lone request: raw Granian "
    "itself reaches some 4 x, and the default engine 3.6 x"
)

TARGETS = (
    Target("No-op, 32 connections, Granian engine", "P0-rate-32", _GRANIAN, 15.0, _REFERENCE,
           "the reference", _REQUEST_COST),
    Target("No-op, 32 connections, Granian engine", "P0-rate-32", _GRANIAN, 2.5,
           ("fastapi-async",), "FastAPI `async def`"),
    Target("No-op, 32 connections, Granian engine", "P0-rate-32", _GRANIAN, 0.6,
           ("granian", "granian-1"), "raw Granian", _REQUEST_COST),
    Target("No-op, 32 connections, gunicorn engine", "P0-rate-32", _GUNICORN, 3.5, _REFERENCE,
           "the reference"),
    Target("No-op, 32 connections, gunicorn engine", "P0-rate-32", _GUNICORN, 0.85,
           ("gunicorn-16", "gunicorn-1"), "raw gunicorn"),
    Target("No-op, 1 connection, Granian engine", "P0-rate-1", _GRANIAN, 3.5, _REFERENCE,
           "the reference", _ALONE_COST),
    Target("Iris classifier, tuned, our better engine", "P1-rate-tuned", _GUNICORN + _GRANIAN, 1.0,
           _PEERS, "the best peer"),
    Target("Batches of 16, 64 connections, our better engine", "P2-share-16", _GUNICORN + _GRANIAN,
           85.0),
    Target("Command to first answer", "D1-start", _GUNICORN, 0.6, _REFERENCE, "the reference"),
    Target("Memory of the largest process", "D1-largest", _GUNICORN, 1.0, _REFERENCE,
           "the reference"),
)  # fmt: skip


def grouped_table(judgements: Sequence[Judgement]) -> list[str]:
    """The same in fewer lines of Markdown: one for each thing that something is promised about."""
    cells: dict[str, list[str]] = {}
    for judgement in judgements:
        cells.setdefault(judgement.target.what, []).append(judgement.in_short)
    rows = [f"| {what} | {'; '.join(parts)} |" for what, parts in cells.items()]
    return ["|  | Measured (target) |", "| --- | --- |", *rows]


def judge_all(summaries: Summaries) -> list[Judgement]:
    """All targets, in order."""
    return [target.judge(summaries) for target in TARGETS]


def targets_table(judgements: Sequence[Judgement]) -> list[str]:
    """Lines of a Markdown table, and below it why what was missed was missed."""
    rows = ["|  | Target | Measured |  |", "| --- | --- | ---: | --- |"]
    rows += [
        f"| {j.target.what} | {j.target.promise} | {j.measured} | {j.verdict.value} |"
        for j in judgements
    ]
    reasons = [
        f"- {j.target.what}, {j.target.promise}: {j.target.missed_because}"
        for j in judgements
        if j.verdict is Verdict.MISSED and j.target.missed_because
    ]
    return [*rows, "", *reasons] if reasons else rows
