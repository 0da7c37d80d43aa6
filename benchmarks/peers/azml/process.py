"""Says which process scores."""

from __future__ import annotations

import os


def init() -> None:
    """There is nothing to load."""


def run(raw_data: str) -> int:
    """Answer the process."""
    return os.getpid()
