"""Kills its own process in `init()` while the file `poison` exists; records each attempt."""

import os
import signal
import time
from pathlib import Path


def init():
    """Die, as a model that does not fit into memory does."""
    with Path("attempts").open("a") as attempts:
        attempts.write(f"{time.monotonic()}\n")
    if Path("poison").exists():
        os.kill(os.getpid(), signal.SIGKILL)


def run(data):
    """Answer with the process id."""
    return os.getpid()
