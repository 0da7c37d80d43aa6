"""The work that every server under test does, whatever its way of being told to.

Copied into the folder each server runs in, and imported from there.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROW_S = 0.000_05
CALL_S = 0.010
SERIAL_S = 0.100
LOADING_S = 3.0
TOKENS = 10_000
TOKEN = "token "

_device = threading.Lock()


def total(rows: Sequence[Sequence[float]]) -> float:
    """The no-op: the sum of the first row."""
    return sum(rows[0])


def on_device(batch: Sequence[Sequence[Sequence[float]]]) -> list[float]:
    """Totals of requests from a device that one caller has at a time, and that likes batches."""
    with _device:
        time.sleep(CALL_S + ROW_S * len(batch))
    return [total(rows) for rows in batch]


def serially(rows: Sequence[Sequence[float]]) -> float:
    """The no-op, after a tenth of a second in which there is place for nobody else."""
    with _device:
        time.sleep(SERIAL_S)
    return total(rows)


def tokens() -> Iterator[str]:
    """What a language model says, without the thinking."""
    for _ in range(TOKENS):
        yield TOKEN


def load_iris() -> Any:
    """The classifier; `model.joblib` lies beside this file."""
    import joblib

    return joblib.load(Path(__file__).parent / "model.joblib")


def load_slowly() -> None:
    """A model of some size."""
    time.sleep(LOADING_S)


def batch_size() -> int:
    """The largest batch that the measurement asks for."""
    return int(os.environ["BENCH_BATCH_SIZE"])
