"""What is done to the servers, in the order of the page."""

from __future__ import annotations

from benchmarks.figures import Figure
from benchmarks.workloads.base import Bench, Workload
from benchmarks.workloads.batching import Batching
from benchmarks.workloads.crash import Crash
from benchmarks.workloads.error_quality import ErrorQuality
from benchmarks.workloads.iris import Iris
from benchmarks.workloads.overhead import Overhead
from benchmarks.workloads.overload import Overload
from benchmarks.workloads.reload import Reload
from benchmarks.workloads.sla import SlaThroughput
from benchmarks.workloads.start import Start
from benchmarks.workloads.streaming import Streaming

__all__ = ["FIGURES", "WORKLOADS", "Bench", "Workload"]

WORKLOADS: tuple[Workload, ...] = (
    Overhead(),
    Iris(),
    Batching(),
    SlaThroughput(),
    Streaming(),
    Overload(),
    Start(),
    Reload(),
    ErrorQuality(),
    Crash(),
)

FIGURES: dict[str, Figure] = {f.name: f for workload in WORKLOADS for f in workload.figures}
