"""Tells which process answers and how often `init()` ran in it."""

import os
import time

inits = 0


def init():
    """Remember the process."""
    global inits, init_pid
    inits += 1
    init_pid = os.getpid()


def run(data):
    """Take long enough for a second request to need a second process."""
    time.sleep(0.1)
    return {"pid": os.getpid(), "init_pid": init_pid, "inits": inits}
