"""A slow model with one place."""

from __future__ import annotations

import json

from tasks import serially


def init() -> None:
    """There is nothing to load."""


def run(raw_data: str) -> float:
    """Answer the total, in time."""
    return serially(json.loads(raw_data)["data"])
