"""Asks for batches of nothing."""

from inference_server.scripting import batch


def init():
    """Nothing to load."""


@batch(max_size=0)
def run(data):
    """Never called."""
