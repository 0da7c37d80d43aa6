"""Scripts and requests as values, for tests that need neither files nor servers."""

from __future__ import annotations

import contextlib
import inspect
import logging
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
from werkzeug.test import create_environ

from inference_server.binding import Binding, ScoringInput, choose_binding
from inference_server.scoring import Scoring
from inference_server.scoring_script import REQUEST_HEADERS, ScoringScript
from inference_server.settings import Settings

few = hypothesis.settings(max_examples=50, deadline=None)
"""Keeps a property test to a fraction of a second."""


def script_of(run: Callable[..., Any], *, is_raw: bool = False) -> ScoringScript:
    """The script whose `run` is this function."""
    parameters = tuple(inspect.signature(run).parameters.values())
    inputs = tuple(p for p in parameters if p.name != REQUEST_HEADERS)
    path = inspect.getsourcefile(inspect.unwrap(run)) if inspect.isroutine(run) else __file__
    return ScoringScript(str(path), print, run, inputs, len(inputs) < len(parameters), is_raw)


def binding_of(run: Callable[..., Any], *, is_raw: bool = False) -> Binding:
    """How the server calls this function."""
    return choose_binding(script_of(run, is_raw=is_raw))


def scoring_of(run: Callable[..., Any], settings: Settings | None = None, **more: Any) -> Scoring:
    """What answers requests with this function."""
    script = script_of(run, **more)
    return Scoring(script, choose_binding(script), settings or Settings())


def post(body: bytes, content_type: str = "application/json", **headers: str) -> ScoringInput:
    """A POST to `/score`."""
    environ = create_environ(
        "/score", method="POST", data=body, content_type=content_type, headers=headers
    )
    return ScoringInput(environ, body)


def get(query: str = "") -> ScoringInput:
    """A GET of `/score` with this query, as it came over the wire."""
    environ = create_environ("/score", method="GET")
    environ["QUERY_STRING"] = query
    return ScoringInput(environ, b"")


def call(function: Callable[..., Any], argument: Any) -> Any:
    """Calls a function as a scoring thread does, but without its deadline."""
    return function(argument)


@contextlib.contextmanager
def restored_logging() -> Iterator[None]:
    """Put the loggers that the server configures back as they were."""
    names = ("", "azmlinfsrv", "gunicorn.access", "gunicorn.error")
    loggers = [logging.getLogger(name) for name in names]
    before = [
        (logger.level, list(logger.handlers), logger.propagate, list(logger.filters))
        for logger in loggers
    ]
    try:
        yield
    finally:
        for logger, (level, handlers, propagate, filters) in zip(loggers, before, strict=True):
            logger.setLevel(level)
            logger.handlers[:], logger.filters[:] = handlers, filters
            logger.propagate = propagate
