"""Computes in pure Python for as many seconds as it is told."""

import time


def init():
    """Nothing to load."""


def run(seconds):
    """Spin, then return the input."""
    until = time.monotonic() + float(seconds)
    while time.monotonic() < until:
        pass
    return seconds
