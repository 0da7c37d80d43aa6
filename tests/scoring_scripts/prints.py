"""Prints in every way a script may."""

import sys


def init():
    """Print before the first request."""
    print("printed by init")


def run(data):
    """Print what it was given."""
    print(data, "joined", sep="|", end="!")
    print(data, "explicit", file=sys.stdout)
    print(data, "elsewhere", file=sys.stderr)
    print(data + " first\nsecond line")
    return data
