"""Writes each input to the file `calls`; the input `wait` is held until `release` appears."""

import time
from pathlib import Path


def init():
    """Nothing to load."""


def run(data):
    """Record the call, wait ten seconds at most, return the input."""
    with Path("calls").open("a") as calls:
        calls.write(f"{data}\n")
    deadline = time.monotonic() + 10
    while data == "wait" and not Path("release").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return data
