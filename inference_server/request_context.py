"""Which request the current code works for: read by log lines, set around everything it causes."""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple


class RequestLabels(NamedTuple):
    """What a log line says of the request it belongs to."""

    request_id: str
    trace_id: str | None = None


current_request: ContextVar[RequestLabels | None] = ContextVar("current_request", default=None)
"""The request that this thread or task works for, or None between requests."""
