"""Wraps `run()` in a decorator that keeps its signature."""

import functools


def shout(function):
    """Return the function with its result in capitals."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs).upper()

    return wrapper


def init():
    """Nothing to load."""


@shout
def run(data):
    """Return the input."""
    return data
