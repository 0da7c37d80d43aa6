"""Ends its process, softly or hard, when asked to."""

import os
import sys


def init():
    """Nothing to load."""


def run(how):
    """Leave by `sys.exit`, by `os._exit`, or return."""
    if how == "softly":
        sys.exit(5)
    if how == "hard":
        os._exit(5)
    return how
