"""Uses what needs the script in `sys.modules`: dataclasses, pickle, multiprocessing."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
from dataclasses import dataclass
from typing import ClassVar


@dataclass
class Point:
    """Has annotations that are strings."""

    dimensions: ClassVar[int] = 1
    x: int = 0


def init():
    """Nothing to load."""


def run(data):
    """Send a point through pickle and through another process."""
    point = Point(int(data))
    with multiprocessing.get_context("fork").Pool(1) as pool:
        doubled, pid = pool.apply(double, [point])
    return {
        "pickled": pickle.loads(pickle.dumps(point)) == point,
        "doubled": doubled.x,
        "elsewhere": pid != os.getpid(),
        "registered": sys.modules[Point.__module__].Point is Point,
    }


def double(point):
    """Run in the other process."""
    return Point(2 * point.x), os.getpid()
