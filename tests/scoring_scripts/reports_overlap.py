"""Answers with the largest number of calls that ever ran at once."""

import threading
import time

lock = threading.Lock()
running = 0
most = 0


def init():
    """Nothing to load."""


def run(seconds):
    """Stay for a while, counted."""
    global running, most
    with lock:
        running += 1
        most = max(most, running)
    time.sleep(float(seconds))
    with lock:
        running -= 1
    return most
