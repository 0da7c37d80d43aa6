"""Which refused requests get log lines of their own: writing thousands would slow `run()` down."""

from __future__ import annotations

import time

MAX_PER_SECOND = 50
"""Refused requests in one second that are logged as any other request is."""


class RefusalLines:
    """Counts refusals that got no line, until somebody asks for the count."""

    def __init__(self) -> None:
        self._second = 0
        self._seen = 0
        self._unlogged = 0

    def takes(self) -> bool:
        """Whether the next refusal gets a line."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._seen = second, 0
        self._seen += 1
        if self._seen <= MAX_PER_SECOND:
            return True
        self._unlogged += 1
        return False

    def take_summary(self) -> str | None:
        """A line for the refusals of a second that is over, or None."""
        if not self._unlogged or int(time.monotonic()) == self._second:
            return None
        count, self._unlogged = self._unlogged, 0
        return (
            f"{count} more requests were answered 429: the queue is full (--max_queue). "
            f"Only {MAX_PER_SECOND} a second get a line."
        )
