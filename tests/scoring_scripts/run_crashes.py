"""Ends its process in the way it is told."""

import ctypes
import os
import signal


def init():
    """Nothing to load."""


def run(how):
    """Crash, or answer with the process id."""
    if how == "segmentation fault":
        ctypes.string_at(0)
    if how == "abort":
        os.abort()
    if how == "exit":
        os._exit(0)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()
