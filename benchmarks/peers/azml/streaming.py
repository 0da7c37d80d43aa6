"""A stream of tokens."""

from __future__ import annotations

from collections.abc import Iterator

from tasks import tokens


def init() -> None:
    """There is nothing to load."""


def run(raw_data: str) -> Iterator[str]:
    """Answer token by token."""
    yield from tokens()
