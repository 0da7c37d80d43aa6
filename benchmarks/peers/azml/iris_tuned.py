"""A scikit-learn classifier that is asked for many requests at once."""

from __future__ import annotations

from typing import Any

from tasks import load_iris

from inference_server.scripting import batch

model: Any = None


def init() -> None:
    """Load the classifier."""
    global model
    model = load_iris()


@batch(max_size=64, max_wait_ms=2)
def run(data: list[list[list[float]]]) -> list[list[int]]:
    """Answer the class of each request's row."""
    return [[int(kind)] for kind in model.predict([rows[0] for rows in data])]
