"""Stays in `run()` past its deadline in several ways."""

import os
import time


def init():
    """Nothing to load."""


def run(how):
    """Sleep as told; anything unknown is answered at once with the process id."""
    if how == "in steps":
        for _ in range(300):
            time.sleep(0.01)
    elif how == "in one piece":
        time.sleep(3)
    elif how == "swallows Exception":
        swallow(Exception, 1)
    elif how == "swallows BaseException":
        swallow(BaseException, 1)
    elif how == "never returns":
        swallow(BaseException, 3600)
    return os.getpid()


def swallow(kind, seconds):
    """Sleep on whatever is raised."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            time.sleep(0.05)
        except kind:
            pass
