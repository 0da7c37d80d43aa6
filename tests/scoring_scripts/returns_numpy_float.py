"""Returns a numpy scalar that is a Python float too."""

import numpy as np


def init():
    """Nothing to load."""


def run(data):
    """Return a float64."""
    return np.float64(0.5)
