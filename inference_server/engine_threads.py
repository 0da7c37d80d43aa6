"""Calls of `run()` on the very threads that an engine brings requests on.

Handing a request to another thread and its answer back takes two switches between threads, several
times what a request costs otherwise. So it is left out where nothing needs it: where `run()` is
synchronous and no deadline has been set (only another thread can answer at the deadline).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Protocol

from inference_server.admission import Admission, C, W
from inference_server.scoring import OverdueError
from inference_server.scoring_threads import Guard, GuardedCalls


class HandOver(Protocol[W]):
    """Gives work back to the thread that brought a call."""

    def __call__(self, call: W, work: Callable[[], None]) -> None:
        """Have `work` done on that thread; never blocks."""


class EngineThreads(GuardedCalls[C]):
    """Calls a synchronous `run()` on the thread of its request, at most one per place at a time.

    Args:
        admission: Where calls come from.
        perform: Answers one call; runs on the call's thread.
        when_idle: Called when the last call of a burst has been answered.
        hand_over: Gives work back to the thread that brought a call.
    """

    def __init__(
        self,
        admission: Admission[C],
        perform: Callable[[C, Guard], None],
        when_idle: Callable[[], None],
        hand_over: HandOver[C],
    ) -> None:
        super().__init__()
        self._admission = admission
        self._perform = perform
        self._when_idle = when_idle
        self._stopped = threading.Event()
        self._free = threading.Semaphore(admission.places)
        if admission.places == 1:
            self._free = threading.Lock()  # type: ignore[assignment] # several times as fast
        self._streams: set[C] = set()
        self._hand_over = hand_over
        admission.deliver_to(self._take)

    def serve(self) -> None:
        """Wait until the admission stops: the work is done elsewhere."""
        self._stopped.wait()

    def stream(self, call: C, work: Callable[[], None]) -> None:
        """Produce a stream on a thread of its own: the engine's has to send it meanwhile."""
        self._streams.add(call)
        target = partial(copy_context().run, self._stream, call, work)
        threading.Thread(target=target, name="stream", daemon=True).start()

    def _stream(self, call: C, work: Callable[[], None]) -> None:
        call.thread_id = threading.get_ident()
        try:
            work()
        finally:
            self._end(call)

    def _take(self, call: C | None) -> None:
        if call is None:
            self._stopped.set()
        else:
            self._hand_over(call, partial(self._work_on, call))

    def _work_on(self, call: C) -> None:
        self._free.acquire()
        if not self._admission.begin(call):
            self._free.release()
            return
        try:
            self._perform(call, partial(self._call, call))
        except OverdueError:
            # The interrupt arrived just after run() had returned; its call is answered.
            return
        finally:
            if call in self._streams:
                self._streams.discard(call)
            else:
                self._end(call)

    def _end(self, call: C) -> None:
        self._admission.end(call)
        self._free.release()
        if self._admission.is_idle:
            self._when_idle()
