"""`rawhttp`, which hands the whole HTTP request to `run()`, and the type that annotates it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import flask

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__azml_rawhttp__"


class AMLRequest(flask.Request):
    """Annotation for the argument of a `rawhttp` function; what arrives is `flask.request`."""

    def __init__(self) -> None:
        raise TypeError("AMLRequest only annotates: run() receives flask.request")


def rawhttp(func: F) -> F:
    """Mark `run()` to receive the HTTP request itself instead of its decoded body."""
    # A bound method keeps no attributes of its own.
    setattr(getattr(func, "__func__", func), _MARK, True)
    return func


def is_rawhttp(func: Callable[..., Any]) -> bool:
    """Whether a function, or one that it wraps, was decorated with `rawhttp`."""
    current: Any = func
    while current is not None:
        if getattr(current, _MARK, False):
            return True
        current = getattr(current, "__wrapped__", None)
    return False
