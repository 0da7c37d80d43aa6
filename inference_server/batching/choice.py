"""Whether a script is served in batches, and of how many: the decorator, and options before it."""

from __future__ import annotations

import inspect
from typing import Any

from inference_server.errors import ScriptError
from inference_server.scoring_script import ScoringScript
from inference_server.scripting import BatchLimits, batch_limits
from inference_server.settings import Settings


def choose_batching(script: ScoringScript, settings: Settings) -> BatchLimits | None:
    """The limits in force, or None for a `run()` that takes one request at a time.

    With `@batch`, `run()` takes lists; `batch_max_size` 1 then means lists of one.

    Raises:
        ScriptError: `run()` cannot take batches.
    """
    marked = batch_limits(script.run)
    max_size, max_wait_ms = settings.batch_max_size, settings.batch_max_wait_ms
    if marked is None and max_size in (None, 1):
        return None
    limits = marked or BatchLimits()
    limits = BatchLimits(
        limits.max_size if max_size is None else max_size,
        limits.max_wait_ms if max_wait_ms is None else max_wait_ms,
    )
    reason = _reason_against(script)
    if reason is not None:
        raise ScriptError(
            f"run() cannot be called with batches: {reason}",
            location=script.location,
            hint="remove @batch" if marked else "leave --batch_max_size (AZML_BATCH_MAX_SIZE) away",
        )
    return limits


def _reason_against(script: ScoringScript) -> str | None:
    if script.is_raw:
        return "@rawhttp hands it a single HTTP request"
    run: Any = inspect.unwrap(script.run)
    call = getattr(run, "__call__", None)  # noqa: B004 - a class instance can be `run`
    for function in (run, call):
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            return "it streams its answer (it has a `yield`)"
    return None
