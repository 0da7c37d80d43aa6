"""The scoring script of all workloads: what is measured is the server around it."""

from __future__ import annotations


def init() -> None:
    """There is nothing to load."""


def run(data: str) -> str:
    """Answer the same word to whatever comes."""
    return "ok"
