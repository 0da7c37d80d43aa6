"""Admission of scoring requests: a bounded queue, then a place among the calls allowed at once.

`run()` is only ever called on scoring threads, the same ones from start to end: the first is the
process's main thread, where `init()` ran too, as libraries with thread-bound state (event loops,
signal handlers, database handles, per-thread switches of torch) expect. HTTP engines submit calls
and are told of the answer; they never wait inside this module.
"""

from __future__ import annotations

import enum
import math
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from inference_server.errors import QueueFullError

IDLE_WAIT_S = 3600.0

OVERFLOW_WAIT_S = 0.5
"""How long a call waits at most while more come than `run()` can do: a longer queue would only make
every answer later, and hold up whoever comes after the rush."""

BUSY_S = 0.05
"""A queue that lasts so long leaves time to refuse several requests in one go."""

SHORTEST_S = 1e-6


class CallState(enum.Enum):
    """Where a call is. Its answer is sent by whoever leads it out of QUEUED or RUNNING."""

    QUEUED = "queued"
    RUNNING = "running"
    ANSWERED = "answered"
    OVERDUE = "overdue"
    ABANDONED = "abandoned"


class Call:
    """One scoring request on its way through admission; times are `time.monotonic` seconds."""

    __slots__ = (
        "interrupted",
        "interruptible",
        "overdue_at",
        "queued_at",
        "started_at",
        "state",
        "thread_id",
    )

    def __init__(self) -> None:
        self.state = CallState.QUEUED
        self.queued_at = time.monotonic()
        self.started_at = 0.0
        self.overdue_at = math.inf
        self.thread_id = 0
        self.interruptible = False
        self.interrupted = False

    @property
    def queued_s(self) -> float:
        """Seconds between submission and the start of `run()`."""
        return (self.started_at or time.monotonic()) - self.queued_at

    def requests(self) -> list[Any]:
        """The calls to answer, each for itself: this one."""
        return [self]


C = TypeVar("C", bound=Call)
W = TypeVar("W", bound=Call, contravariant=True)


class Batch(Call, Generic[C]):
    """Requests that share a place and a deadline, though each has its own answer.

    Admission runs and watches the batch; its calls go from RUNNING to their answers on their own.
    """

    __slots__ = ("calls",)

    def __init__(self, calls: list[C]) -> None:
        super().__init__()
        self.calls = calls

    def requests(self) -> list[Any]:
        """The calls of the batch."""
        return list(self.calls)


class Watcher(Protocol[W]):
    """Is told by the watchdog thread about calls that take too long."""

    def overdue(self, call: W) -> None:
        """The deadline has passed; the call is yours to answer now."""

    def stuck(self, call: W) -> None:
        """The grace after the deadline has passed too, and `run()` still has not returned."""


class Admission(Generic[C]):
    """The queue and the places of one process.

    Args:
        places: Calls that may run at once.
        max_queue: Calls that may wait (beside those that wait to fill the batch of a free place).
        deadline_s: Seconds one call may run, or None.
        grace_s: Seconds after the deadline before a call counts as stuck.

    Attributes:
        report: Told of the numbers of running and waiting calls whenever they change.
    """

    def __init__(
        self,
        *,
        places: int,
        max_queue: int,
        deadline_s: float | None,
        grace_s: float,
    ) -> None:
        self.places = places
        self.report: Callable[[int, int], None] = lambda running, waiting: None
        self.deadline_s = deadline_s
        self._batch_size = 1
        self._max_queue = max_queue
        self._capacity = places + max_queue
        self._grace_s = grace_s
        self._lock = threading.Lock()
        self._queued: set[C] = set()
        self._running: set[Call] = set()
        self._reported: set[Call] = set()
        self._early: list[C | None] = []
        self._put: Callable[[C | None], object] = self._early.append
        self._mean_s = 0.1
        self._overflows = False
        self._stopped = threading.Event()
        self._held: list[C] | None = None
        self._drained = threading.Event()

    def deliver_to(self, put: Callable[[C | None], object]) -> None:
        """Hand submitted calls to this function; None means that no more will come.

        Calls submitted before (while the script still loads) are handed over first.
        """
        with self._lock:
            for call in self._early:
                put(call)
            self._put = put

    def widen_places(self, batch_size: int) -> None:
        """Let in, beside those that may wait, as many calls as batches in free places can take."""
        with self._lock:
            self._batch_size = batch_size
            self._capacity = self.places * batch_size + self._max_queue

    def submit(self, call: C) -> None:
        """Queue a call.

        Raises:
            QueueFullError: All places are taken, running and waiting.
        """
        with self._lock:
            limit = self._limit()
            if len(self._queued) + len(self._running) * self._batch_size >= limit:
                self._overflows = True
                raise QueueFullError(self._retry_after_s(limit))
            self._queued.add(call)
            self.report(len(self._running), len(self._queued))
            if self._held is None:
                self._put(call)
            else:
                self._held.append(call)

    def hold(self, timeout_s: float | None) -> bool:
        """Let no further call start, and wait until none runs; False when some still do.

        Calls wait in the queue until `release`, which must follow.
        """
        with self._lock:
            self._held = []
            self._drained.clear()
            if not self._running:
                return True
        return self._drained.wait(timeout_s)

    def release(self) -> None:
        """Let calls start again after `hold`."""
        with self._lock:
            held, self._held = self._held or [], None
            for call in sorted(held, key=lambda call: call.queued_at):
                self._put(call)

    def abandon(self, call: C) -> bool:
        """Take a call whose client has gone out of the queue; False when it is already running."""
        with self._lock:
            if call.state is not CallState.QUEUED:
                return False
            call.state = CallState.ABANDONED
            self._queued.discard(call)
            self.report(len(self._running), len(self._queued))
            return True

    def abandon_all(self) -> list[C]:
        """Take every waiting call out of the queue; whoever asked answers them."""
        return [call for call in tuple(self._queued) if self.abandon(call)]

    def expire_all(self) -> list[C]:
        """Take the answers of all running calls away from `run()`; whoever asked gives them."""
        with self._lock:
            calls = [call for running in self._running for call in running.requests()]
            return self._expire(calls)

    def expire(self, batch: Batch[C]) -> list[C]:
        """Take the answers of a batch's requests that have none away from `run()`."""
        with self._lock:
            return self._expire(batch.calls)

    @staticmethod
    def _expire(calls: list[C]) -> list[C]:
        unanswered = [call for call in calls if call.state is CallState.RUNNING]
        for call in unanswered:
            call.state = CallState.OVERDUE
        return unanswered

    def begin(self, call: C) -> bool:
        """Take a place for a call; False when it was abandoned, or all calls are held back."""
        with self._lock:
            if call.state is not CallState.QUEUED:
                return False
            if self._held is not None:
                self._held.append(call)
                return False
            call.state = CallState.RUNNING
            call.thread_id = threading.get_ident()
            call.started_at = time.monotonic()
            if self.deadline_s is not None:
                call.overdue_at = call.started_at + self.deadline_s
            self._queued.discard(call)
            self._running.add(call)
            self.report(len(self._running), len(self._queued))
            return True

    def begin_batch(self, batch: Batch[C]) -> bool:
        """Take a place for those calls of a batch that were not abandoned.

        False without any, or while all calls are held back.
        """
        with self._lock:
            batch.calls = [call for call in batch.calls if call.state is CallState.QUEUED]
            if not batch.calls:
                return False
            if self._held is not None:
                self._held.extend(batch.calls)
                return False
            now = time.monotonic()
            for call in batch.calls:
                call.state, call.started_at = CallState.RUNNING, now
            batch.state, batch.started_at = CallState.RUNNING, now
            batch.thread_id = threading.get_ident()
            if self.deadline_s is not None:
                batch.overdue_at = now + self.deadline_s
            self._queued.difference_update(batch.calls)
            self._running.add(batch)
            self.report(len(self._running), len(self._queued))
            return True

    def claim(self, call: Call) -> bool:
        """Become the one who answers a running call; False when the watchdog already did."""
        with self._lock:
            if call.state is not CallState.RUNNING:
                return False
            call.state = CallState.ANSWERED
            call.overdue_at = math.inf
            return True

    def end(self, call: Call) -> None:
        """Give the call's place back; the second time changes nothing."""
        if call not in self._running:
            return
        with self._lock:
            if call not in self._running:
                return
            self._running.discard(call)
            self._reported.discard(call)
            self.report(len(self._running), len(self._queued))
            self._mean_s += 0.2 * (time.monotonic() - call.started_at - self._mean_s)
            if self._held is not None and not self._running:
                self._drained.set()

    @property
    def running(self) -> int:
        """Calls that hold a place."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Calls in the queue."""
        return len(self._queued)

    @property
    def is_idle(self) -> bool:
        """Nothing runs and nothing waits."""
        return not self._queued and not self._running

    @property
    def is_blocked(self) -> bool:
        """All places are taken, one of them by a call whose deadline has passed."""
        with self._lock:
            late = any(call.state is CallState.OVERDUE for call in self._running)
            return late and len(self._running) >= self.places

    @property
    def is_overloaded(self) -> bool:
        """The next call would be refused, and those that wait keep `run()` busy for a while."""
        waiting = len(self._queued)
        return (
            self._overflows
            and waiting * self._mean_s >= BUSY_S * self._width
            and waiting + len(self._running) * self._batch_size >= self._limit()
        )

    @property
    def _width(self) -> int:
        """Requests that can be in `run()` at once."""
        return self.places * self._batch_size

    def _limit(self) -> int:
        """Requests that may be here at once, running and waiting.

        A queue that overflowed stays short until it has been empty once.
        """
        if self._overflows and not self._queued:
            self._overflows = False
        if not self._overflows:
            return self._capacity
        in_time = int(OVERFLOW_WAIT_S * self._width / max(self._mean_s, SHORTEST_S))
        return min(self._capacity, self._width + max(self._width, in_time))

    def _retry_after_s(self, limit: int) -> int:
        """Seconds until half of the requests that are here will probably have been worked off."""
        rounds = math.ceil(limit / self._width)
        return max(1, min(60, math.ceil(rounds * self._mean_s / 2)))

    # --- watchdog ----------------------------------------------------------------------------

    def start_watchdog(self, watcher: Watcher[Any]) -> None:
        """Report overdue and stuck calls to a watcher, on a thread of its own.

        Does nothing when there is no deadline.
        """
        if self.deadline_s is not None:
            arguments = (watcher, min(self.deadline_s, IDLE_WAIT_S))
            threading.Thread(
                target=self._watch, args=arguments, name="watchdog", daemon=True
            ).start()

    def stop(self) -> None:
        """Let the scoring threads finish what is queued and return."""
        self._stopped.set()
        with self._lock:
            for _ in range(self.places):
                self._put(None)

    def _watch(self, watcher: Watcher[Any], longest: float) -> None:
        # Sleeping no longer than the deadline itself means that every call is seen before its
        # deadline passes, without being told when a call starts.
        pause = longest
        while not self._stopped.wait(pause):
            pause = self._check(watcher, longest)

    def _check(self, watcher: Watcher[Any], longest: float) -> float:
        """Report overdue and stuck calls; seconds until the next look."""
        now = time.monotonic()
        next_look = now + longest
        for call in tuple(self._running):
            stuck_at = call.started_at + (self.deadline_s or 0) + self._grace_s
            if call.state is CallState.OVERDUE:
                if now >= stuck_at and call not in self._reported:
                    self._reported.add(call)
                    watcher.stuck(call)
            elif now >= call.overdue_at:
                with self._lock:
                    late = call.state is CallState.RUNNING
                    if late:
                        call.state = CallState.OVERDUE
                if late:
                    watcher.overdue(call)
            else:
                next_look = min(next_look, call.overdue_at)
            if call.state is CallState.OVERDUE and call not in self._reported:
                next_look = min(next_look, stuck_at)
        return max(0.0005, next_look - time.monotonic())
