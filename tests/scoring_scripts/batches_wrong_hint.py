"""Takes batches, but its type hint is that of a single request."""

from inference_server.scripting import batch


def init():
    """Nothing to load."""


@batch
def run(data: dict):
    """Never called."""
