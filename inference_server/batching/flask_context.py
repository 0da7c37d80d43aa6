"""Flask's globals in a `run()` that serves several requests: `request` and `session` say why not.

`current_app` and `g` are there; `g` lasts for the one call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import flask
import flask.globals

# As in `inference_server.flask_context`; another Flask says itself that there is no request.
_REQUEST_VARIABLE: ContextVar[Any] | None = getattr(flask.globals, "_cv_request", None)


class NoSingleRequestError(RuntimeError):
    """Code in a batched `run()` asked Flask for the request."""


class _NoRequest:
    def __getattr__(self, name: str) -> Any:
        raise NoSingleRequestError(
            f"flask.{name} is not there in run(), as it is called with batches of requests: take "
            "`request_headers` for a list of their headers, or set --batch_max_size to 1 and "
            "remove @batch"
        )


@contextmanager
def no_single_request(app: flask.Flask) -> Iterator[None]:
    """Within, Flask's application is there, and its request is refused with a reason."""
    with app.app_context():
        if _REQUEST_VARIABLE is None:
            yield
            return
        token = _REQUEST_VARIABLE.set(_NoRequest())
        try:
            yield
        finally:
            _REQUEST_VARIABLE.reset(token)
