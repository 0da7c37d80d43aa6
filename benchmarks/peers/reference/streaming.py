"""A stream of tokens, as the reference lets a script answer one: a response of Flask's."""

from __future__ import annotations

from typing import Any

from azureml_inference_server_http.api.aml_request import rawhttp
from flask import Response
from tasks import tokens


def init() -> None:
    """There is nothing to load."""


@rawhttp
def run(request: Any) -> Response:
    """Answer token by token."""
    return Response(tokens(), mimetype="text/plain")
