"""What the charts show: a pure function of results; `drawing` makes pictures of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.figures import Better, Figure
from benchmarks.results import Results
from benchmarks.servers import SERVERS, Role, Server
from benchmarks.workloads import WORKLOADS, Workload


@dataclass(frozen=True)
class Bar:
    """One server's figure: the median, and the range around it."""

    title: str
    role: Role
    median: float
    low: float
    high: float
    label: str


@dataclass(frozen=True)
class Panel:
    """One figure of all servers that have it."""

    title: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Chart:
    """One workload's picture.

    Attributes:
        name: Name of the file, without its ending.
        title: Above the panels.
        panels: Side by side.
    """

    name: str
    title: str
    panels: tuple[Panel, ...]


def charts(results: Results) -> list[Chart]:
    """A chart for each workload that has something to show."""
    made = [Chart(w.name, w.title, _panels(w, results)) for w in WORKLOADS]
    return [chart for chart in made if chart.panels]


def _panels(workload: Workload, results: Results) -> tuple[Panel, ...]:
    panels = [
        _panel(figure, SERVERS, results)
        for figure in workload.figures
        if figure.in_chart and figure.name in results.samples
    ]
    return tuple(panels)


def _panel(figure: Figure, servers: Sequence[Server], results: Results) -> Panel:
    direction = "more is better" if figure.better is Better.MORE else "less is better"
    bars = []
    for server in servers:
        summary = results.summaries.get((figure.name, server.name))
        if summary is not None:
            title, label = server.title.replace("`", ""), figure.text(summary.median)
            bars.append(Bar(title, server.role, summary.median, summary.low, summary.high, label))
    return Panel(f"{figure.label.replace('`', '')}\n{direction}", tuple(bars))
