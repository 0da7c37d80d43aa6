"""What an open loop is asked to do, and what came of it: plain values."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.asking import OK
from benchmarks.figures import percentile

MAX_CONNECTIONS = 800
MAX_LAG_S = 0.010
"""How late the slowest 1 % of the requests may be sent before a measurement is void."""
MIN_IDLE = 0.05
"""Share of the time that the generator has to spare; with less, answers wait for it."""


class End(enum.Enum):
    """How a request ended."""

    ANSWERED = "answered"
    BROKEN = "connection refused, reset or closed"
    TIMED_OUT = "client gave up"
    CUT_OFF = "still open when the measurement ended"


@dataclass(frozen=True)
class Due:
    """A request to be sent.

    Attributes:
        at: Seconds from the beginning.
        kind: Which of the requests.
    """

    at: float
    kind: str = "score"


@dataclass(frozen=True)
class Outcome:
    """What became of a request; all times in seconds.

    Attributes:
        kind: Which of the requests.
        due: When it was to be sent, from the beginning.
        lag: How much later the generator sent it, the wait for a free connection left out.
        latency: From when it was due to its end.
        end: How it ended.
        status: Of the answer, 0 without one.
        body: Of the answer.
    """

    kind: str
    due: float
    lag: float
    latency: float
    end: End
    status: int = 0
    body: bytes = b""

    @property
    def is_ok(self) -> bool:
        """It was answered with 200."""
        return self.status == OK

    @property
    def ended_at(self) -> float:
        """Seconds from the beginning to its end."""
        return self.due + self.latency


@dataclass(frozen=True)
class Plan:
    """An open loop to be run.

    Attributes:
        arrivals: What is due when, in order.
        requests: The bytes of each kind.
        timeout_s: After which the client gives a request up.
        drain: Whether to wait for answers behind the last arrival.
        max_connections: Requests beyond wait in the client, their clocks running.
        deeds: Done once at their time; they must be quick.
        until: Ends the loop early when it says so of an outcome.
    """

    arrivals: Sequence[Due]
    requests: Mapping[str, bytes]
    timeout_s: float = 10.0
    drain: bool = True
    max_connections: int = MAX_CONNECTIONS
    deeds: Sequence[tuple[float, Callable[[], object]]] = ()
    until: Callable[[Outcome], bool] = lambda outcome: False


@dataclass(frozen=True)
class Record:
    """What a plan led to.

    Attributes:
        outcomes: In order of their ends.
        idle: Share of the time in which the generator had nothing to do.
    """

    outcomes: Sequence[Outcome]
    idle: float

    @property
    def lag_s(self) -> float:
        """How late the slowest 1 % were sent."""
        lags = [outcome.lag for outcome in self.outcomes]
        return percentile(lags, 99) if lags else 0.0

    @property
    def fell_behind(self) -> bool:
        """The generator, and not the server, was the limit: the record is void."""
        return self.lag_s > MAX_LAG_S or self.idle < MIN_IDLE
