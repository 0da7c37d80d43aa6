"""Answers with length and SHA-256 of the body, and records that it was called."""

import hashlib
from pathlib import Path

from azureml_inference_server_http.api.aml_request import rawhttp


def init():
    """Nothing to load."""


@rawhttp
def run(request):
    """Take the body as it came."""
    body = request.get_data(cache=False)
    with Path("calls").open("a") as calls:
        calls.write(f"{len(body)}\n")
    return {"length": len(body), "sha256": hashlib.sha256(body).hexdigest()}
