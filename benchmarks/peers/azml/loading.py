"""A model that takes its time to load; what is edited while it serves."""

from __future__ import annotations

from tasks import load_slowly

STATE = 1


def init() -> None:
    """Load the model."""
    load_slowly()


def run(raw_data: str) -> int:
    """Answer which version of state and function this is."""
    return STATE * 10 + 1
