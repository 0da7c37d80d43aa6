"""Takes its input by keyword only, and has a default beside it."""


def init():
    """Nothing to load."""


def run(*, whatever, factor=2):
    """Return the input, repeated."""
    return whatever * factor
