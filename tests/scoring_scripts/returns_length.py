"""Returns as many characters as it is asked for."""


def init():
    """Nothing to load."""


def run(length):
    """Make a long answer."""
    return "x" * int(length)
