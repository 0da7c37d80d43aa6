"""Takes as many seconds as it is told."""

import time


def init():
    """Nothing to load."""


def run(seconds):
    """Sleep in short steps, so that a deadline can interrupt."""
    deadline = time.monotonic() + float(seconds)
    while time.monotonic() < deadline:
        time.sleep(0.01)
    return "awake"
