"""Takes lists, as `--batch_max_size` has it called; knows nothing of the server."""

from pathlib import Path


def init():
    """Nothing to load."""


def run(data, request_headers):
    """The size of the batch, and each request's text and header."""
    while "wait" in data and not Path("release").exists():
        pass
    names = [headers.get("X-Name") for headers in request_headers]
    return [[len(data), text, name] for text, name in zip(data, names)]
