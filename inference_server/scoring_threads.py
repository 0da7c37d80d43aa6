"""The threads that call `run()`: in a loop, or on an event loop when it is asynchronous."""

from __future__ import annotations

import asyncio
import ctypes
import queue
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from types import CodeType, FrameType
from typing import Any, Generic, Protocol, TypeVar

from inference_server.admission import Admission, C, Call, W
from inference_server.failures import Frame, user_frames
from inference_server.scoring import OverdueError

SWITCH_INTERVAL_S = 0.001
"""A thread gives the interpreter away with each system call, and gets it back from a `run()` that
computes after so long: at Python's 5 ms, health would take tens of milliseconds."""

RUSH_SWITCH_INTERVAL_S = 0.0001
"""The same while requests are refused by the hundred, several system calls each. Too short for all
times: a no-op request would cost half as much again."""

_INTERRUPT = getattr(signal, "SIGUSR2", None)
"""Wakes the main thread even from a blocking system call; scripts keep SIGALRM for themselves."""


C_co = TypeVar("C_co", bound=Call, covariant=True)

Guard = Callable[[Callable[[Any], Any], Any], Any]
"""Calls a function with an argument so that `interrupt` reaches it, and nothing after it."""


class Places(Protocol[W]):
    """What scoring threads ask of admission."""

    @property
    def places(self) -> int:
        """Calls that may run at once."""

    def begin(self, call: W) -> bool:
        """Take a place for a call; False when it was abandoned while it waited."""

    def end(self, call: W) -> None:
        """Give the call's place back; the second time changes nothing."""


class Inbox(Protocol[C_co]):
    """Where a scoring thread waits for calls."""

    def empty(self) -> bool:
        """Whether `get` would wait."""

    def get(self) -> C_co | None:
        """The next call; None when no more will come."""


class AsyncInbox(Protocol[C_co]):
    """Where the tasks of an event loop wait for calls."""

    async def get(self) -> C_co | None:
        """The next call; None when no more will come."""


def inbox_of(admission: Admission[C]) -> Inbox[C]:
    """Every call that is submitted, in order, for threads."""
    calls: queue.SimpleQueue[C | None] = queue.SimpleQueue()
    admission.deliver_to(calls.put)
    return calls


def async_inbox_of(admission: Admission[C], loop: asyncio.AbstractEventLoop) -> AsyncInbox[C]:
    """Every call that is submitted, in order, for the tasks of an event loop."""
    calls: asyncio.Queue[C | None] = asyncio.Queue()
    admission.deliver_to(lambda call: loop.call_soon_threadsafe(calls.put_nowait, call))
    return calls


class GuardedCalls(Generic[C]):
    """Calls of a synchronous `run()` that can be interrupted from other threads."""

    def __init__(self) -> None:
        self._current: C | None = None
        self._interrupting = threading.Lock()

    def interrupt(self, call: C) -> None:
        """Raise `OverdueError` inside the `run()` of an overdue call, if it is still in there."""
        with self._interrupting:
            if not call.interruptible:
                return
            on_main_thread = call.thread_id == threading.main_thread().ident
            if (
                on_main_thread
                and _INTERRUPT is not None
                and signal.getsignal(_INTERRUPT) == self._raise_overdue
            ):
                signal.pthread_kill(call.thread_id, _INTERRUPT)
                return
            call.interrupted = True
            _set_async_exception(call.thread_id, OverdueError)

    def frames(self, call: C) -> tuple[Frame, ...]:
        """The user frames that a running call is in, outermost first; none outside of `run()`."""
        return user_frames(_stack(call.thread_id, inside=GuardedCalls._call.__code__))

    def _call(self, call: C, function: Callable[[Any], Any], argument: Any) -> Any:
        call.interruptible = True
        try:
            return function(argument)
        finally:
            with self._interrupting:
                call.interruptible = False
                if call.interrupted:
                    # Not raised yet, it would hit whatever this thread does next.
                    _set_async_exception(call.thread_id, None)

    def _raise_overdue(self, signum: int, frame: FrameType | None) -> None:
        call = self._current
        if call is not None and call.interruptible and call.overdue_at <= time.monotonic():
            raise OverdueError


class SyncScoringThreads(GuardedCalls[C]):
    """Calls a synchronous `run()`, at most one call per thread at a time.

    Args:
        admission: Gives places.
        inbox: Where calls come from.
        perform: Answers one call; runs on a scoring thread.
        when_idle: Called before waiting for the next call.
    """

    def __init__(
        self,
        admission: Places[C],
        inbox: Inbox[C],
        perform: Callable[[C, Guard], None],
        when_idle: Callable[[], None],
    ) -> None:
        super().__init__()
        self._admission = admission
        self._inbox = inbox
        self._perform = perform
        self._when_idle = when_idle

    def serve(self) -> None:
        """Work on this thread (the first scoring thread) until the admission stops."""
        if threading.current_thread() is threading.main_thread() and _INTERRUPT is not None:
            signal.signal(_INTERRUPT, self._raise_overdue)
        others = [
            threading.Thread(target=self._work, name=f"scoring-{n}", daemon=True)
            for n in range(1, self._admission.places)
        ]
        for thread in others:
            thread.start()
        self._work(first=True)
        for thread in others:
            thread.join()

    def _work(self, *, first: bool = False) -> None:
        inbox, admission = self._inbox, self._admission
        while True:
            if inbox.empty():
                self._when_idle()
            call = inbox.get()
            if call is None:
                return
            if not admission.begin(call):
                continue
            if first:
                self._current = call
            try:
                self._perform(call, partial(self._call, call))
            except OverdueError:
                # The interrupt arrived just after run() had returned; its call is answered.
                continue
            finally:
                admission.end(call)


class AsyncScoringThread(Generic[C]):
    """Awaits an asynchronous `run()` on one event loop, the one that `init()` used."""

    def __init__(
        self,
        admission: Places[C],
        inbox: AsyncInbox[C],
        perform: Callable[[C], Awaitable[None]],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._admission = admission
        self._inbox = inbox
        self._perform = perform
        self._loop = loop
        self._tasks: dict[C, asyncio.Task[None]] = {}

    def serve(self) -> None:
        """Work on this thread until the admission stops."""
        self._loop.run_until_complete(self._work_all())

    def interrupt(self, call: C) -> None:
        """Cancel the task of an overdue call."""
        task = self._tasks.get(call)
        if task is not None:
            self._loop.call_soon_threadsafe(self._cancel, call, task)

    def frames(self, call: C) -> tuple[Frame, ...]:
        """The user frames that a running call is in, outermost first."""
        task = self._tasks.get(call)
        coroutine: Any = task.get_coro() if task is not None else None
        if coroutine is None or coroutine.cr_running:
            return user_frames(_stack(call.thread_id, inside=asyncio.Handle._run.__code__))
        return user_frames(_awaited(coroutine))

    @staticmethod
    def _cancel(call: C, task: asyncio.Task[None]) -> None:
        if call.interruptible:
            task.cancel()

    async def _work_all(self) -> None:
        await asyncio.gather(*(self._work() for _ in range(self._admission.places)))

    async def _work(self) -> None:
        while (call := await self._inbox.get()) is not None:
            if not self._admission.begin(call):
                continue
            # A task of its own for each call: cancelling it must not end this loop.
            task = asyncio.ensure_future(self._perform(call))
            self._tasks[call] = task
            try:
                await asyncio.wait([task])
            finally:
                del self._tasks[call]
                self._admission.end(call)


def _stack(thread_id: int, *, inside: CodeType) -> list[FrameType]:
    """A thread's frames inside a call of some function, outermost first; empty outside of it."""
    stack: list[FrameType] = []
    frame = sys._current_frames().get(thread_id)
    while frame is not None and frame.f_code is not inside:
        stack.append(frame)
        frame = frame.f_back
    return stack[::-1] if frame is not None else []


def _awaited(coroutine: Any) -> Iterator[FrameType]:
    """The frames of a suspended coroutine and of what it waits for, outermost first."""
    while coroutine is not None:
        for kind in ("cr", "ag", "gi"):
            frame = getattr(coroutine, f"{kind}_frame", None)
            if frame is not None:
                yield frame
                coroutine = getattr(coroutine, "gi_yieldfrom" if kind == "gi" else f"{kind}_await")
                break
        else:
            return


def _set_async_exception(thread_id: int, exception: type[BaseException] | None) -> None:
    """Have an exception raised in a thread at its next bytecode, or take it back."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread_id), ctypes.py_object(exception) if exception else None
    )


def use_short_switch_interval(*, rush: bool = False) -> None:
    """Let waiting threads have the interpreter soon: health must answer while `run()` computes."""
    sys.setswitchinterval(RUSH_SWITCH_INTERVAL_S if rush else SWITCH_INTERVAL_S)
