"""Wants the HTTP request itself, and batches of it."""

from inference_server.api import rawhttp
from inference_server.scripting import batch


def init():
    """Nothing to load."""


@batch
@rawhttp
def run(request):
    """Never called."""
