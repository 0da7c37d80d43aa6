"""When a batch goes: a decision about times alone, without a clock, a thread or a queue.

With `n` requests in hand and a free place, waiting `t` for one more delays each of the `n`, and the
newcomer, by `t`, and the `n` by the newcomer's share of the batch's cost as well. It saves the
newcomer a batch of its own: the fixed cost. So waiting pays while `(n + 1) * t + n * each < fixed`,
which makes `(fixed - n * each) / (n + 1)` the patience with `n` in hand.

How soon the next request comes after the `n`-th is learned for each `n` apart. That tells a crowd
of clients that wait for their answers (the next is there at once, until all of them are in hand)
from a single one (nobody comes before it has its answer), and needs no trial: requests that come
while a batch runs tell what waiting would have brought.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from inference_server.batching.cost import BatchCost

LEARNING_RATE = 0.25
"""Weight of the newest interval between requests."""

NEVER_S = 1.0
"""An interval counts as no more than this while costs are not known."""

FORESIGHT = 256
"""So many requests are waited for at once, at most; then it is decided anew."""

LOOK_AGAIN = 1.5
"""Times the expected wait after which it is looked at what has come."""

SHORTEST_LOOK_S = 0.0002
"""Looking again sooner would cost more than it could find."""

SAFETY = 0.9
"""Part of a deadline that a batch may be expected to take."""


@dataclass(frozen=True)
class Hold:
    """Wait until `wanted` requests are in hand, `timeout_s` at most, then ask again."""

    wanted: int
    timeout_s: float


class BatchPolicy:
    """Decides how long a batch is held back for more requests; all times are in seconds.

    Args:
        max_size: Most requests in a batch.
        max_wait_s: Longest time a batch is held back.
        deadline_s: What a batch may take, being held back included; None for no limit.
    """

    def __init__(self, max_size: int, max_wait_s: float, deadline_s: float | None = None) -> None:
        self.cost = BatchCost()
        self._max_size = max_size
        self._max_wait_s = max_wait_s
        self._deadline_s = math.inf if deadline_s is None else deadline_s
        self._intervals: list[float | None] = [None] * (max_size + 1)
        self._went: tuple[int, float] | None = None

    @property
    def limit(self) -> int:
        """Most requests that a batch can have and still be expected to keep the deadline."""
        cost = self.cost
        room_s = SAFETY * self._deadline_s - cost.fixed_s
        if cost.of(self._max_size) <= cost.fixed_s + room_s:
            return self._max_size
        return max(1, int(room_s / cost.each_s)) if cost.each_s else self._max_size

    def patience_s(self, size: int) -> float:
        """How long waiting for one more request pays when so many are in hand; maybe negative."""
        return (self.cost.fixed_s - size * self.cost.each_s) / (size + 1)

    def hold(self, size: int, held_s: float, quiet_s: float) -> Hold | None:
        """Whether to wait for more requests, and for how many; None to go now.

        Args:
            size: Requests in hand, at least one.
            held_s: How long they have been held back so far.
            quiet_s: How long no request has come.
        """
        limit = self.limit
        if size >= limit or not self.cost.is_known:
            return None
        left_s = min(self._max_wait_s, self._deadline_s - self.cost.of(size + 1)) - held_s
        patience_left_s = self.patience_s(size) - quiet_s
        if min(left_s, patience_left_s) <= 0:
            return None
        wanted, expected_s = self._worth_waiting_for(size, min(limit, size + FORESIGHT))
        if wanted == size:
            return None
        look_s = max(LOOK_AGAIN * expected_s, SHORTEST_LOOK_S)
        return Hold(wanted, min(left_s, patience_left_s, look_s))

    def gathered(self, free_at: float, in_hand: int, arrivals: Sequence[float]) -> None:
        """Learn from the requests of a batch that goes now.

        Args:
            free_at: When there were a free place and the first `in_hand` requests.
            in_hand: Requests that did not have to be waited for.
            arrivals: When each request of the batch came.
        """
        if self._went is not None:
            size, at = self._went
            self._learn(size, arrivals[0] - at)
        for size in range(in_hand, len(arrivals)):
            self._learn(size, arrivals[size] - max(arrivals[size - 1], free_at))
        self._went = len(arrivals), max(arrivals[-1], free_at)

    def _worth_waiting_for(self, size: int, most: int) -> tuple[int, float]:
        """The size that batches like this one soon reach, and the expected time until then."""
        wanted, expected_s = size, 0.0
        interval_s = self._interval(size)
        while wanted < most:
            learned_s = self._intervals[wanted]
            interval_s = interval_s if learned_s is None else learned_s
            if interval_s >= self.patience_s(wanted):
                break
            wanted += 1
            expected_s += interval_s
        return wanted, expected_s

    def _interval(self, size: int) -> float:
        """Expected time from the `size`-th request to the next, or that of the size below."""
        known = (self._intervals[smaller] for smaller in range(size, 0, -1))
        return next((interval_s for interval_s in known if interval_s is not None), math.inf)

    def _learn(self, size: int, interval_s: float) -> None:
        # Nobody in twice the patience is as bad as nobody at all: with that bound on intervals, the
        # mean is below the patience exactly when waiting that long saves more than it costs.
        most_s = 2 * self.patience_s(size) if self.cost.is_known else NEVER_S
        if most_s <= 0:
            return
        interval_s = min(max(interval_s, 0.0), most_s)
        known_s = self._intervals[size]
        if known_s is not None:
            interval_s = known_s + LEARNING_RATE * (interval_s - known_s)
        self._intervals[size] = interval_s
