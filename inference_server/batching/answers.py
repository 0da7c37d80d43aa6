"""A thread that sends the answers of one batch while the next one is on the device."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

MOSTLY_WAITING = 0.5
"""Part of a call's time that its thread may compute, for the call to count as waiting."""

_NEWEST = 0.2


class AnswerThread:
    """Sends answers on a thread of its own as long as `run()` mostly waits for something else.

    While `run()` waits for a device, sending is free. While it computes, the two would only take
    turns, and each answer would wait for the interpreter.
    """

    def __init__(self) -> None:
        self._pending: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._computing = 1.0

    def note_run(self, seconds: float, computed_s: float) -> None:
        """Learn how long a call of `run()` took, and how long its thread computed."""
        share = min(1.0, computed_s / seconds) if seconds > 0 else 1.0
        self._computing += _NEWEST * (share - self._computing)

    @property
    def is_worth_it(self) -> bool:
        """`run()` has mostly waited lately."""
        return self._computing < MOSTLY_WAITING

    def send(self, answers: Callable[[], None]) -> None:
        """Have answers sent soon; they are sent in the order of these calls."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="answers", daemon=True)
            self._thread.start()
        self._pending.put(answers)

    def _work(self) -> None:
        while True:
            self._pending.get()()
