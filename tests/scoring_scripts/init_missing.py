"""Has no `init()`."""


def run(data):
    """Never reached."""
    return data
