"""Answers with the text it was given."""


def init():
    """Nothing to load."""


def run(data):
    """Return the input unchanged."""
    return data
