"""The floor: a WSGI application that does nothing but read the body, for gunicorn as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

ANSWER = b'"ok"'
HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(ANSWER)))]


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    """Answer what the scoring script of the other servers answers."""
    environ["wsgi.input"].read()
    start_response("200 OK", HEADERS)
    return [ANSWER]
