"""Trials as they might come out."""

from __future__ import annotations

from inference_server.tuning.trials import Load, ServerSetup, Trial


def trial(
    workers: int = 1,
    places: int = 1,
    batch: int = 0,
    *,
    clients: int = 1,
    per_second: float = 100.0,
    p99_ms: float = 10.0,
    memory_mib: float | None = 50.0,
    failures: int = 0,
) -> Trial:
    """A trial with figures that are round unless given."""
    load = Load(per_second, p99_ms / 2, p99_ms, int(per_second), failures)
    return Trial(ServerSetup(workers, places, batch), clients, load, memory_mib)
