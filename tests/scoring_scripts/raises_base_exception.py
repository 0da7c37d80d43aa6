"""Raises what `except Exception` does not catch."""

import asyncio


class Leaving(BaseException):
    """Neither an Exception nor one of Python's own."""


KINDS = {
    "own": Leaving,
    "cancelled": asyncio.CancelledError,
    "interrupt": KeyboardInterrupt,
    "generator": GeneratorExit,
}


def init():
    """Nothing to load."""


def run(kind):
    """Raise, or return the input."""
    if kind.startswith("stream "):
        return stream(kind.removeprefix("stream "))
    if kind in KINDS:
        raise KINDS[kind]("gone")
    return kind


def stream(kind):
    """Yield once, then raise."""
    yield {"n": 1}
    raise KINDS[kind]("gone")
