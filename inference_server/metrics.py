"""`/metrics`: the scoreboard in Prometheus format, made by the official client library."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from inference_server.scoreboard import (
    BATCH_BUCKETS,
    BUCKETS_S,
    Histogram,
    Rejection,
    Scoreboard,
    Stage,
    WorkerState,
)

if TYPE_CHECKING:
    from prometheus_client import Metric

_HELP = {
    Stage.QUEUE: ("azml_queue_duration_seconds", "Time scoring requests waited for run()."),
    Stage.RUN: ("azml_run_duration_seconds", "Time spent in run()."),
    Stage.TOTAL: ("azml_request_duration_seconds", "Time from a request to the end of its answer."),
}


def render_metrics(scoreboard: Scoreboard, accept: str) -> tuple[str, bytes]:
    """Content type and body of `/metrics`, over all workers.

    Metrics that the scoring script defines with `prometheus_client` itself are included: over all
    workers when `PROMETHEUS_MULTIPROC_DIR` is set, as that library asks for, else this worker's.
    """
    # Imported on the first scrape: it takes as long to import as the rest of the server.
    from prometheus_client import REGISTRY, CollectorRegistry
    from prometheus_client.exposition import choose_encoder
    from prometheus_client.multiprocess import MultiProcessCollector
    from prometheus_client.registry import Collector

    class ScoreboardCollector(Collector):
        def collect(self) -> Iterator[Metric]:
            yield from _families(scoreboard)

    registry = CollectorRegistry()
    registry.register(ScoreboardCollector())
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(REGISTRY)
    encode, content_type = choose_encoder(accept)
    return content_type, encode(registry)


def _families(scoreboard: Scoreboard) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    rows = list(scoreboard)
    requests = CounterMetricFamily("azml_requests", "Answered requests.", labels=["status"])
    statuses: dict[int, int] = {}
    for row in rows:
        for code, count in row.statuses.items():
            statuses[code] = statuses.get(code, 0) + count
    for code in sorted(statuses):
        requests.add_metric([str(code)], statuses[code])
    yield requests

    rejected = CounterMetricFamily(
        "azml_rejected_requests", "Requests turned away or given up.", labels=["reason"]
    )
    for reason in Rejection:
        total = sum(row.rejections[reason] for row in rows)
        rejected.add_metric([reason.name.lower()], total)
    yield rejected

    for stage in Stage:
        yield _histogram(*_HELP[stage], BUCKETS_S, [row.histogram(stage) for row in rows])
    sizes = [row.batch_sizes for row in rows]
    yield _histogram("azml_batch_size", "Requests in one call of run().", BATCH_BUCKETS, sizes)

    loads = [row.load for row in rows if row.state is not WorkerState.NONE]
    gauges = (
        ("azml_requests_in_flight", "Calls of run() going on.", sum(r for r, _ in loads)),
        ("azml_queue_length", "Requests waiting for run().", sum(w for _, w in loads)),
    )
    for name, text, value in gauges:
        yield GaugeMetricFamily(name, text, value)
    workers = GaugeMetricFamily("azml_workers", "Worker processes.", labels=["state"])
    for state in WorkerState:
        if state is not WorkerState.NONE:
            count = sum(row.state is state for row in rows)
            workers.add_metric([state.name.lower()], count)
    yield workers
    yield CounterMetricFamily(
        "azml_worker_restarts",
        "Workers replaced because they died.",
        sum(row.restarts for row in rows),
    )


def _histogram(
    name: str, text: str, bounds: Sequence[float], histograms: Sequence[Histogram]
) -> Metric:
    from prometheus_client.core import HistogramMetricFamily

    running_total = 0
    buckets: list[tuple[str, float]] = []
    for index, bound in enumerate([*map(str, map(float, bounds)), "+Inf"]):
        running_total += sum(h.counts[index] for h in histograms)
        buckets.append((bound, running_total))
    return HistogramMetricFamily(
        name, text, buckets=buckets, sum_value=sum(h.total for h in histograms)
    )
