"""Results as a run would have made them, and parts of them."""

from __future__ import annotations

from benchmarks.results import Circumstances, Failure, Results

CIRCUMSTANCES = Circumstances(
    date="2026-01-02",
    command="python -m benchmarks --quick",
    machine="A processor, 2 cores",
    client="wrk 4",
    cores="Server pinned to core 0, client to core 1.",
    load_before=0.126,
    load_after=1.5,
    rounds=3,
    seconds=10,
    warm_up_s=3,
    overload_s=30,
    seed=1,
)

SAMPLES = {
    "P0-rate-32": {
        "azml": [4000.0, 6500.0, 5000.0],
        "azml-granian": [20000.0],
        "reference": [1000.0],
        "fastapi-async": [9000.0, 8000.0, 8500.0],
        "gunicorn-16": [5500.0],
        "gunicorn-1": [6000.0],
        "granian": [30000.0],
        "granian-1": [40000.0],
    },
    "P0-p99-32": {"azml": [4.0], "reference": [31.0], "fastapi": [3.125]},
    "P2-share-16": {"azml": [86.0], "azml-granian": [91.25], "mlserver": [80.0]},
    "D1-start": {"azml": [200.0, 210.0], "reference": [500.0]},
}


def results(
    samples: dict[str, dict[str, list[float]]] | None = None,
    failures: tuple[Failure, ...] = (),
) -> Results:
    """A run that found these samples."""
    chosen = SAMPLES if samples is None else samples
    names = {name for by_server in chosen.values() for name in by_server}
    versions = {name: {"python": "3.11.7"} for name in names}
    return Results(CIRCUMSTANCES, versions, chosen, failures)
