"""Where requests wait until their batch goes, and the waits of the threads that take batches."""

from __future__ import annotations

import asyncio
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Generic

from inference_server.admission import Batch, C
from inference_server.batching.policy import BatchPolicy

_NOTHING = math.inf


class Gathering(Generic[C]):
    """The requests that wait, and what the policy says about them.

    Args:
        policy: Decides.
        wake: Wakes whoever waits on the word of `look`; called on any thread.
    """

    def __init__(self, policy: BatchPolicy, wake: Callable[[], object]) -> None:
        self._policy = policy
        self._wake = wake
        self._arrived: deque[C] = deque()
        self._wanted: float = _NOTHING
        self._stopping = False
        self._free_at: float | None = None
        self._in_hand = 0
        self._learning = threading.Lock()

    def put(self, call: C | None) -> None:
        """Add a request; None when no more will come. Admission lets in one thread at a time."""
        if call is None:
            self._stopping = True
        else:
            self._arrived.append(call)
        # Waking for each request would cost more than the rest of its way here.
        if len(self._arrived) >= self._wanted or self._stopping:
            self._wanted = _NOTHING
            self._wake()

    @property
    def is_empty(self) -> bool:
        """No request waits."""
        return not self._arrived

    @property
    def is_full(self) -> bool:
        """The next batch need not wait for anybody."""
        return len(self._arrived) >= self._policy.limit

    def look(self) -> float:
        """Seconds to wait before the next look unless woken; 0 when `take` is due."""
        while True:
            wanted, timeout_s = self._decide()
            self._wanted = wanted if timeout_s else _NOTHING
            # What came in between did not wake anybody.
            if not timeout_s or len(self._arrived) < wanted:
                return timeout_s

    def _decide(self) -> tuple[int, float]:
        size = min(len(self._arrived), self._policy.limit)
        if self._stopping:
            return size, 0.0
        if not size:
            return 1, math.inf
        now = time.monotonic()
        if self._free_at is None:
            self._free_at, self._in_hand = now, size
        quiet_s = now - max(self._arrived[size - 1].queued_at, self._free_at)
        hold = self._policy.hold(size, now - self._free_at, quiet_s)
        return (hold.wanted, hold.timeout_s) if hold else (size, 0.0)

    def take(self) -> Batch[C] | None:
        """The batch that `look` said is due; None when no more will come."""
        size = min(len(self._arrived), self._policy.limit)
        if not size:
            return None
        calls = [self._arrived.popleft() for _ in range(size)]
        if self._free_at is not None:
            in_hand = min(self._in_hand, size)
            self._policy.gathered(self._free_at, in_hand, [call.queued_at for call in calls])
        self._free_at = None
        return Batch(calls)

    def learn_cost(self, size: int, seconds: float) -> None:
        """Learn what a batch has cost; on any thread."""
        with self._learning:
            self._policy.cost.observe(size, seconds)


class BatchInbox(Generic[C]):
    """Gives batches to scoring threads, one thread at a time."""

    def __init__(self, policy: BatchPolicy) -> None:
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._turn = threading.Lock()
        self.gathering: Gathering[C] = Gathering(policy, lambda: self._wakes.put(None))

    def empty(self) -> bool:
        """Whether `get` would wait for a first request."""
        return self.gathering.is_empty

    def get(self) -> Batch[C] | None:
        """The next batch, once it is due; None when no more will come."""
        with self._turn:
            while timeout_s := self.gathering.look():
                with suppress(queue.Empty):
                    self._wakes.get(timeout=None if math.isinf(timeout_s) else timeout_s)
            return self.gathering.take()


class AsyncBatchInbox(Generic[C]):
    """Gives batches to the tasks of an event loop, one task at a time."""

    def __init__(self, policy: BatchPolicy, loop: asyncio.AbstractEventLoop) -> None:
        self._woken = asyncio.Event()
        self._turn = asyncio.Lock()
        self.gathering: Gathering[C] = Gathering(
            policy, lambda: loop.call_soon_threadsafe(self._woken.set)
        )

    async def get(self) -> Batch[C] | None:
        """The next batch, once it is due; None when no more will come."""
        async with self._turn:
            while timeout_s := self.gathering.look():
                with suppress(asyncio.TimeoutError):
                    timeout = None if math.isinf(timeout_s) else timeout_s
                    await asyncio.wait_for(self._woken.wait(), timeout)
                self._woken.clear()
            return self.gathering.take()
