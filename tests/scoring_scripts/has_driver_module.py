"""Wraps another script, as generated `main.py` files do."""

import importlib.util
import sys
from pathlib import Path

_spec = importlib.util.spec_from_file_location(
    "driver_module", Path(__file__).with_name("driven.py")
)
driver_module = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = driver_module
_spec.loader.exec_module(driver_module)


def init():
    """Mark that the outer `init()` ran."""
    driver_module.initialised_by = "outer"


def run(data):
    """Never called: the inner `run()` is."""
    return "outer run"
