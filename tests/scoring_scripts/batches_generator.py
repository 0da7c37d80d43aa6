"""Streams its answer, which a batch cannot."""

from inference_server.scripting import batch


def init():
    """Nothing to load."""


@batch
def run(data):
    """Never called."""
    yield 1
