"""Keeps a helper process that it forks in the first call."""

import multiprocessing
import os
import time
from pathlib import Path

helper = None


def init():
    """Nothing to load."""


def run(how):
    """Fork the helper, or end it as `multiprocessing` does, by SIGTERM."""
    global helper
    if how == "fork":
        helper = multiprocessing.get_context("fork").Process(target=wait, daemon=True)
        helper.start()
        deadline = time.monotonic() + 5
        while not Path("helper-runs").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
    elif how == "terminate":
        helper.terminate()
        helper.join(5)
        return helper.exitcode
    return os.getpid()


def wait():
    """Live for a while."""
    Path("helper-runs").touch()
    time.sleep(30)
