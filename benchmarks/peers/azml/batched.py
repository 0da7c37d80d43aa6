"""The device, asked for many requests at once."""

from __future__ import annotations

from tasks import batch_size, on_device

from inference_server.scripting import batch


def init() -> None:
    """There is nothing to load."""


@batch(max_size=batch_size(), max_wait_ms=5)
def run(data: list[list[list[float]]]) -> list[float]:
    """Answer the totals."""
    return on_device(data)
