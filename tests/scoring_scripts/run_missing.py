"""Has no `run()`."""


def init():
    """Never reached."""
