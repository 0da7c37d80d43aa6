"""Streams a chunk, then waits for the file `release` before the next."""

import time
from pathlib import Path

from azureml_inference_server_http.api.aml_response import AMLResponse


def init():
    """Nothing to load."""


def chunks():
    """Yield twice, ten seconds apart at most."""
    yield "first"
    deadline = time.monotonic() + 10
    while not Path("release").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    yield "second"


def run(data):
    """Start the stream."""
    return AMLResponse(chunks(), 200)
