"""The inner script of `has_driver_module.py`."""

initialised_by = "nobody"


def init():
    """Never called: the outer `init()` is."""
    global initialised_by
    initialised_by = "inner"


def run(data):
    """Return who initialised, and the input."""
    return ["inner run", initialised_by, data]
