"""Returns an object no encoder can know."""


class Opaque:
    """Has no data to encode."""

    __slots__ = ()


def init():
    """Nothing to load."""


def run(data):
    """Return an instance."""
    return Opaque()
