"""What scoring scripts may import beside the reference's names: `batch`.

Importing it costs next to nothing, and what it marks can be called as before, so a script stays
usable without the server.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, overload

F = TypeVar("F", bound=Callable[..., Any])

MOST_REQUESTS = 4096
"""Largest batch that can be asked for."""

LONGEST_WAIT_MS = 60_000.0

DEFAULT_MAX_SIZE = 16
DEFAULT_MAX_WAIT_MS = 10.0

_MARK = "__azml_batch__"


class BatchLimits(NamedTuple):
    """How many requests one call of `run()` may serve, and how long it is held back for more."""

    max_size: int = DEFAULT_MAX_SIZE
    max_wait_ms: float = DEFAULT_MAX_WAIT_MS


@overload
def batch(func: F, /) -> F: ...
@overload
def batch(*, max_size: int = ..., max_wait_ms: float = ...) -> Callable[[F], F]: ...
def batch(
    func: Callable[..., Any] | None = None,
    /,
    *,
    max_size: int = DEFAULT_MAX_SIZE,
    max_wait_ms: float = DEFAULT_MAX_WAIT_MS,
) -> Any:
    """Mark `run()` to be called once for several requests: each argument is a list, one item each.

    It returns a list of the same length; an item that is an exception fails its own request only.
    If `run()` raises, each request of the batch is tried again alone, so it may see one twice.
    A default value of a parameter is the item of each request that does not name the parameter.

    Args:
        func: The function, when the decorator is written without parentheses.
        max_size: Most requests in one call, 1 to 4096.
        max_wait_ms: Longest time a call is held back for more requests, 0 to 60000. It is only
            used up while, going by experience, waiting costs less time than it saves.

    Raises:
        ValueError: A number is outside of its range.
    """
    if isinstance(max_size, bool) or not isinstance(max_size, int):
        raise ValueError(f"max_size must be a whole number from 1 to {MOST_REQUESTS}: {max_size!r}")
    if not 1 <= max_size <= MOST_REQUESTS:
        raise ValueError(f"max_size must be from 1 to {MOST_REQUESTS}, not {max_size}")
    if isinstance(max_wait_ms, bool) or not isinstance(max_wait_ms, int | float):
        raise ValueError(f"max_wait_ms must be a number of milliseconds: {max_wait_ms!r}")
    if math.isnan(max_wait_ms) or not 0 <= max_wait_ms <= LONGEST_WAIT_MS:
        raise ValueError(f"max_wait_ms must be from 0 to {LONGEST_WAIT_MS:g}, not {max_wait_ms}")
    limits = BatchLimits(max_size, float(max_wait_ms))

    def mark(function: F) -> F:
        # A bound method keeps no attributes of its own.
        setattr(getattr(function, "__func__", function), _MARK, limits)
        return function

    return mark if func is None else mark(func)


def batch_limits(func: Any) -> BatchLimits | None:
    """What `batch` was told for a function, or for one that it wraps; None without `batch`."""
    current = func
    while current is not None:
        found = getattr(current, _MARK, None) or getattr(
            getattr(type(current), "__call__", None),  # noqa: B004 - an instance can be `run`
            _MARK,
            None,
        )
        if isinstance(found, BatchLimits):
            return found
        current = getattr(current, "__wrapped__", None)
    return None
