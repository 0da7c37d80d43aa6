"""Is initialised once the file `release` appears in the working folder."""

import time
from pathlib import Path


def init():
    """Wait ten seconds at most."""
    deadline = time.monotonic() + 10
    while not Path("release").exists() and time.monotonic() < deadline:
        time.sleep(0.01)


def run(data):
    """Return the input."""
    return data
