"""Fails in `init()`."""


def init():
    """Raise."""
    raise RuntimeError("the model is not there")


def run(data):
    """Never reached."""
    return data
