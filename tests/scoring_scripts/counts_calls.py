"""Answers with the number of calls so far."""

import itertools


def init():
    """Start counting at one."""
    global calls
    calls = itertools.count(1)


def run(data):
    """Count this call."""
    return next(calls)
