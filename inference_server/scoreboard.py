"""Numbers that master and workers share: states of the workers and the counts behind `/metrics`.

One anonymous shared mapping of doubles, made before the first fork, with a row for each worker.
Only the worker that owns a row writes its counters, so no lock is needed; a row is reused by a
later worker, which counts on from there: totals never go back, whatever kills a worker.
"""

from __future__ import annotations

import enum
import mmap
import time
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

BUCKETS_S = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
)  # fmt: skip
"""Upper bounds of the latency histograms in seconds; the last bucket is +Inf."""

BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Upper bounds of the histogram of batch sizes; the last bucket is +Inf."""

FIRST_STATUS, LAST_STATUS = 100, 599


class WorkerState(enum.IntEnum):
    """What a row of the scoreboard stands for right now."""

    NONE = 0
    STARTING = 1
    READY = 2
    FAILED = 3
    STOPPING = 4


class Rejection(enum.IntEnum):
    """Why a request was turned away before `run()`, or given up during it."""

    QUEUE_FULL = 0
    BODY_TOO_LARGE = 1
    CLIENT_GONE = 2
    DEADLINE = 3
    READ_TIMEOUT = 4


class Stage(enum.IntEnum):
    """The parts of a scoring request's time."""

    QUEUE = 0
    RUN = 1
    TOTAL = 2


_STATE, _PID, _RUNNING, _WAITING, _READY_AT, _RESTARTS, _BEAT = range(7)
_REJECTIONS = 8
_HISTOGRAM = len(BUCKETS_S) + 2  # each bucket, +Inf, and the sum
_TOTAL = _HISTOGRAM - 1
_HISTOGRAMS = _REJECTIONS + 8
_HISTOGRAM_OF = tuple(_HISTOGRAMS + stage * _HISTOGRAM for stage in range(len(Stage)))
_STATUSES = _HISTOGRAMS + len(Stage) * _HISTOGRAM
_BATCHES = _STATUSES + LAST_STATUS - FIRST_STATUS + 1
_ROW = _BATCHES + len(BATCH_BUCKETS) + 2

_NOTE_BYTES = 256


@dataclass(frozen=True)
class Histogram:
    """Counts per bucket (not cumulative), the last one for +Inf, and the sum of all values."""

    counts: tuple[int, ...]
    total: float


class Row:
    """One worker's part of the scoreboard."""

    def __init__(self, cells: memoryview[float], note: memoryview[int]) -> None:
        self._cells = cells
        self._note = note

    @property
    def state(self) -> WorkerState:
        """The worker's state."""
        return WorkerState(int(self._cells[_STATE]))

    @state.setter
    def state(self, state: WorkerState) -> None:
        self._cells[_STATE] = state
        if state is WorkerState.READY:
            self._cells[_READY_AT] = time.monotonic()

    @property
    def ready_at(self) -> float:
        """`time.monotonic` when the worker became ready."""
        return float(self._cells[_READY_AT])

    @property
    def pid(self) -> int:
        """The process that works in this row, where its engine says so; else 0."""
        return int(self._cells[_PID])

    @pid.setter
    def pid(self, pid: int) -> None:
        self._cells[_PID] = pid

    @property
    def beat_at(self) -> float:
        """`time.monotonic` of the worker's last sign of life, where its engine gives any."""
        return float(self._cells[_BEAT])

    def beat(self) -> None:
        """Give a sign of life."""
        self._cells[_BEAT] = time.monotonic()

    @property
    def restarts(self) -> int:
        """How often a worker in this row was replaced; written by the master."""
        return int(self._cells[_RESTARTS])

    def add_restart(self) -> None:
        """Count the replacement of a worker that died."""
        self._cells[_RESTARTS] += 1

    @property
    def note(self) -> str:
        """What user code the worker is in when it is in any, for whoever finds it dead."""
        return bytes(self._note).rstrip(b"\0").decode(errors="ignore")

    @note.setter
    def note(self, text: str) -> None:
        self._note[:] = text.encode(errors="replace")[:_NOTE_BYTES].ljust(_NOTE_BYTES, b"\0")

    def set_load(self, running: int, waiting: int) -> None:
        """Store how many requests run and wait."""
        self._cells[_RUNNING] = running
        self._cells[_WAITING] = waiting

    @property
    def load(self) -> tuple[int, int]:
        """Requests that run, requests that wait."""
        return int(self._cells[_RUNNING]), int(self._cells[_WAITING])

    def count_status(self, code: int) -> None:
        """Count an answer."""
        self._cells[_STATUSES + min(max(code, FIRST_STATUS), LAST_STATUS) - FIRST_STATUS] += 1

    def count_rejection(self, reason: Rejection) -> None:
        """Count a request that was turned away or given up."""
        self._cells[_REJECTIONS + reason] += 1

    def observe(self, stage: Stage, seconds: float) -> None:
        """Add a duration to a histogram."""
        cells, base = self._cells, _HISTOGRAM_OF[stage]
        cells[base + bisect_left(BUCKETS_S, seconds)] += 1
        cells[base + _TOTAL] += seconds

    def observe_batch(self, size: int) -> None:
        """Count a call of `run()` that serves so many requests."""
        self._cells[_BATCHES + bisect_left(BATCH_BUCKETS, size)] += 1
        self._cells[_ROW - 1] += size

    @property
    def statuses(self) -> dict[int, int]:
        """Answers by status code."""
        cells = self._cells[_STATUSES:_BATCHES].tolist()
        return {FIRST_STATUS + i: int(count) for i, count in enumerate(cells) if count}

    @property
    def rejections(self) -> dict[Rejection, int]:
        """Requests turned away or given up, by reason."""
        return {reason: int(self._cells[_REJECTIONS + reason]) for reason in Rejection}

    def histogram(self, stage: Stage) -> Histogram:
        """The durations of a stage so far."""
        base = _HISTOGRAM_OF[stage]
        return self._histogram(base, base + _HISTOGRAM)

    @property
    def batch_sizes(self) -> Histogram:
        """The sizes of batches so far."""
        return self._histogram(_BATCHES, _ROW)

    def _histogram(self, start: int, end: int) -> Histogram:
        *counts, total = self._cells[start:end].tolist()
        return Histogram(tuple(map(int, counts)), total)

    def release(self) -> None:
        """Mark the row free for the next worker; its totals stay."""
        self.state = WorkerState.NONE
        self.pid = 0
        self.note = ""
        self.set_load(0, 0)


class Scoreboard:
    """The rows of all workers; survives any of them."""

    def __init__(self, rows: int = 1) -> None:
        size = rows * _ROW * 8
        memory = memoryview(mmap.mmap(-1, size + rows * _NOTE_BYTES))
        cells, notes = memory[:size].cast("d"), memory[size:]
        self._rows = [
            Row(
                cells[i * _ROW : (i + 1) * _ROW],
                notes[i * _NOTE_BYTES : (i + 1) * _NOTE_BYTES],
            )
            for i in range(rows)
        ]

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def take_row(self) -> Row:
        """A row that no worker uses, now marked as starting; one that nobody sees if all are."""
        for row in self._rows:
            if row.state is WorkerState.NONE:
                row.state = WorkerState.STARTING
                return row
        return Scoreboard().take_row()

    @property
    def any_ready(self) -> bool:
        """Whether some worker can score."""
        return any(row.state is WorkerState.READY for row in self._rows)
