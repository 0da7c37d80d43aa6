"""Takes a tenth of a second for each request, asleep or computing."""

import time


def init():
    """Nothing to load."""


def run(how):
    """Sleep, or count in pure Python for as long."""
    until = time.monotonic() + 0.1
    if how == "sleep":
        time.sleep(0.1)
    while time.monotonic() < until:
        pass
    return how
