"""The open loop: requests are sent when they are due, whatever became of those before.

Latency counts from the moment a request was due, so that a server which stalls cannot hide behind
a client that waits for it. One thread, bounded in requests, connections and time.
"""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import time
from collections import deque
from dataclasses import dataclass, field

from benchmarks.asking import HOST
from benchmarks.offered import Due, End, Outcome, Plan, Record
from benchmarks.replies import Reply, parse

_SPIN_S = 0.0015
_AT_ONCE_S = 0.000_1
_BOTH = selectors.EVENT_READ | selectors.EVENT_WRITE


def run(port: int, plan: Plan) -> Record:
    """Carry out a plan."""
    with selectors.DefaultSelector() as selector:
        loop = _Loop(port, plan, selector)
        begin = time.perf_counter()
        try:
            loop.run()
        finally:
            loop.close()
    return Record(loop.outcomes, loop.idle_s / (time.perf_counter() - begin))


@dataclass(eq=False)
class _Connection:
    sock: socket.socket
    due: Due
    lag: float = 0.0
    to_send: bytes = b""
    received: bytearray = field(default_factory=bytearray)
    is_idle: bool = False


class _Loop:
    def __init__(self, port: int, plan: Plan, selector: selectors.BaseSelector) -> None:
        self.outcomes: list[Outcome] = []
        self.idle_s = 0.0
        self._port = port
        self._plan = plan
        self._selector = selector
        self._open: set[_Connection] = set()
        self._idle: list[_Connection] = []
        self._waiting: deque[Due] = deque()
        self._busy: deque[tuple[_Connection, Due]] = deque()
        self._next = 0
        self._deeds = deque(sorted(plan.deeds, key=lambda deed: deed[0]))
        self._is_over = False
        self._begin = time.perf_counter()

    def run(self) -> None:
        while not self._is_over:
            now = self._now()
            self._do_deeds(now)
            self._send_due(now)
            self._expire(now)
            if self._is_done():
                break
            for key, mask in self._wait():
                self._serve(key.data, mask)

    def close(self) -> None:
        """Cut off what is still open."""
        for connection in list(self._open):
            if not connection.is_idle:
                self._end(connection, End.CUT_OFF)
            self._drop(connection)
        for due in self._waiting:
            self._note(due, 0.0, End.CUT_OFF)

    def _now(self) -> float:
        return time.perf_counter() - self._begin

    def _is_done(self) -> bool:
        if self._next < len(self._plan.arrivals):
            return False
        is_idle = len(self._idle) == len(self._open) and not self._waiting
        return is_idle or not self._plan.drain

    def _wait(self) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready; a call that brings something at once is no idleness."""
        pause = self._pause()
        begin = time.perf_counter()
        ready = self._selector.select(pause)
        waited = time.perf_counter() - begin
        if not ready or waited > _AT_ONCE_S:
            self.idle_s += waited
        return ready

    def _pause(self) -> float:
        """Seconds to wait for answers; short ones are spun away, for the selector rounds them."""
        coming = [deed[0] for deed in list(self._deeds)[:1]]
        if self._next < len(self._plan.arrivals):
            coming.append(self._plan.arrivals[self._next].at)
        gap = min(coming) - self._now() if coming else self._plan.timeout_s / 20
        return gap - _SPIN_S / 2 if gap > _SPIN_S else 0.0

    def _do_deeds(self, now: float) -> None:
        while self._deeds and self._deeds[0][0] <= now:
            self._deeds.popleft()[1]()

    def _send_due(self, now: float) -> None:
        while self._waiting and self._has_place():
            self._send(self._waiting.popleft(), 0.0)
        arrivals = self._plan.arrivals
        while self._next < len(arrivals) and arrivals[self._next].at <= now:
            due = arrivals[self._next]
            self._next += 1
            if self._has_place():
                self._send(due, self._now() - due.at)
            else:
                self._waiting.append(due)

    def _has_place(self) -> bool:
        return bool(self._idle) or len(self._open) < self._plan.max_connections

    def _send(self, due: Due, lag: float) -> None:
        connection = self._idle.pop() if self._idle else self._connect(due)
        connection.due, connection.lag, connection.is_idle = due, lag, False
        connection.received.clear()
        connection.to_send = self._plan.requests[due.kind]
        self._busy.append((connection, due))
        self._write(connection)

    def _connect(self, due: Due) -> _Connection:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(sock, due)
        self._open.add(connection)
        self._selector.register(sock, _BOTH, connection)
        sock.connect_ex((HOST, self._port))
        return connection

    def _write(self, connection: _Connection) -> None:
        was_waiting = self._selector.get_key(connection.sock).events == _BOTH
        try:
            sent = connection.sock.send(connection.to_send)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            if error.errno == errno.ENOTCONN:
                return
            self._end(connection, End.BROKEN)
            return
        connection.to_send = connection.to_send[sent:]
        waits = bool(connection.to_send)
        if waits != was_waiting:
            events = _BOTH if waits else selectors.EVENT_READ
            self._selector.modify(connection.sock, events, connection)

    def _serve(self, connection: _Connection, mask: int) -> None:
        if connection not in self._open:
            return
        if mask & selectors.EVENT_WRITE and connection.to_send:
            self._write(connection)
        if mask & selectors.EVENT_READ and connection in self._open:
            self._read(connection)

    def _read(self, connection: _Connection) -> None:
        try:
            data = connection.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if connection.is_idle:
            self._drop(connection)
            return
        connection.received += data
        try:
            reply = parse(bytes(connection.received), ended=not data)
        except ValueError:
            self._end(connection, End.BROKEN)
            return
        if reply is not None:
            self._end(connection, End.ANSWERED, reply)

    def _expire(self, now: float) -> None:
        """Give up what is too old; both queues are in order of being due."""
        oldest = now - self._plan.timeout_s
        while self._waiting and self._waiting[0].at < oldest:
            self._note(self._waiting.popleft(), 0.0, End.TIMED_OUT)
        while self._busy:
            connection, due = self._busy[0]
            is_served = connection.is_idle or connection.due is not due
            if not is_served and connection in self._open:
                if due.at >= oldest:
                    return
                self._end(connection, End.TIMED_OUT)
            self._busy.popleft()

    def _end(self, connection: _Connection, end: End, reply: Reply | None = None) -> None:
        if reply is not None and reply.stays_open:
            connection.is_idle = True
            self._idle.append(connection)
        else:
            self._drop(connection)
        self._note(connection.due, connection.lag, end, reply)

    def _note(self, due: Due, lag: float, end: End, reply: Reply | None = None) -> None:
        status, body = (reply.status, reply.body) if reply else (0, b"")
        outcome = Outcome(due.kind, due.at, lag, self._now() - due.at, end, status, body)
        self.outcomes.append(outcome)
        self._is_over = self._is_over or self._plan.until(outcome)

    def _drop(self, connection: _Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(connection.sock)
        connection.sock.close()
