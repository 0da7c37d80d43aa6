"""Has an object with `__call__` for `run`."""


class Repeat:
    """Repeats its input."""

    def __call__(self, data):
        """Return the input twice."""
        return data * 2


def init():
    """Nothing to load."""


run = Repeat()
