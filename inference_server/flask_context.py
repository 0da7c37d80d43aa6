"""Flask's globals (`request`, `g`, `current_app`) in `run()`, at no cost until one is used."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import flask
import flask.globals

if TYPE_CHECKING:
    from inference_server.request_ids import RequestIds

# Flask 3.1 keeps two context variables; pushing both costs more than a whole no-op request, so they
# are set to objects that make the real contexts when something asks for them. Other versions of
# Flask get their contexts pushed in the documented way.
_APP_VARIABLE: ContextVar[Any] = getattr(flask.globals, "_cv_app", None)  # type: ignore[assignment]
_REQUEST_VARIABLE: ContextVar[Any] = getattr(flask.globals, "_cv_request", None)  # type: ignore[assignment]


class _Lazy:
    """Stands for a Flask context until one of its attributes is wanted."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def __getattr__(self, name: str) -> Any:
        return getattr(self._make(), name)


class LazyFlaskContext:
    """A context manager that makes Flask's globals stand for one request on this thread."""

    __slots__ = ("_app", "_app_context", "_environ", "_ids", "_request_context", "_tokens")

    def __init__(self, app: flask.Flask, environ: dict[str, Any], ids: RequestIds | None) -> None:
        self._app = app
        self._environ = environ
        self._ids = ids
        self._app_context: Any = None
        self._request_context: Any = None

    def __enter__(self) -> None:
        self._tokens = (
            _APP_VARIABLE.set(_Lazy(self.app_context)),
            _REQUEST_VARIABLE.set(_Lazy(self.request_context)),
        )

    def __exit__(self, *error: object) -> None:
        app_token, request_token = self._tokens
        _REQUEST_VARIABLE.reset(request_token)
        _APP_VARIABLE.reset(app_token)

    def app_context(self) -> Any:
        """The real application context, made on first use."""
        if self._app_context is None:
            self._app_context = self._app.app_context()
            _fill(self._app_context.g, self._ids)
        return self._app_context

    def request_context(self) -> Any:
        """The real request context, made on first use."""
        if self._request_context is None:
            self._request_context = self._app.request_context(self._environ)
            self._request_context.match_request()
        return self._request_context


class PushedFlaskContext:
    """The same, with Flask's contexts pushed in the documented way."""

    def __init__(self, app: flask.Flask, environ: dict[str, Any], ids: RequestIds | None) -> None:
        self._context = app.request_context(environ)
        self._ids = ids

    def __enter__(self) -> None:
        self._context.__enter__()
        _fill(flask.g, self._ids)

    def __exit__(self, *error: object) -> None:
        # An error is the server's own here: run()'s have become answers already.
        self._context.__exit__(None, None, None)


def _fill(g: Any, ids: RequestIds | None) -> None:
    if ids is not None:
        g.request_id = ids.request_id
        g.legacy_request_id = ids.legacy
        g.client_request_id = ids.client


FlaskContext: type[LazyFlaskContext | PushedFlaskContext] = (
    LazyFlaskContext
    if _APP_VARIABLE is not None and _REQUEST_VARIABLE is not None
    else PushedFlaskContext
)
"""What fits the installed Flask."""
