"""Leaves in `init()` with the exit code of success."""

import sys


def init():
    """Leave."""
    sys.exit(0)


def run(data):
    """Never reached."""
    return data
