"""Takes no input."""


def init():
    """Never reached."""


def run():
    """Never reached."""
    return "nothing"
