"""The device, asked for one request at a time."""

from __future__ import annotations

import json

from tasks import on_device


def init() -> None:
    """There is nothing to load."""


def run(raw_data: str) -> float:
    """Answer the total."""
    return on_device([json.loads(raw_data)["data"]])[0]
