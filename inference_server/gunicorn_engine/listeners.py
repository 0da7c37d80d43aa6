"""The listening sockets of one worker, and when it takes clients from them.

All workers listen on the same sockets, so a worker that is loading, stuck or busy leaves new
clients to the others by not accepting.
"""

from __future__ import annotations

import errno
import logging
import math
import select
import selectors
import socket
import time
from collections.abc import Callable
from typing import Any

log = logging.getLogger("gunicorn.error")

PAUSE_S = 0.5
"""How long accepting pauses when the process or the machine has run out of something."""

DEFER_S = 0.01
"""How long a busy worker leaves a new connection to the idle ones."""

MAX_DEFERRALS = 2
"""So often in a row: the first time may end just when the connection arrives."""

SHORTAGE_LOG_S = 10.0

_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Errors of `accept` that stay until some connection is closed."""


class Listeners:
    """The sockets, registered with the loop's selector while this worker takes clients.

    Args:
        sockets: gunicorn's listeners.
        selector: The loop's.
        may_accept: Whether this worker should take new clients now.
        leave_to_others: Whether a new client's request would wait here, and not elsewhere.
        make_room: Closes connections when the process may not open another; False for none.
    """

    def __init__(
        self,
        sockets: list[Any],
        selector: selectors.BaseSelector,
        may_accept: Callable[[], bool],
        leave_to_others: Callable[[], bool],
        make_room: Callable[[], bool] = lambda: False,
    ) -> None:
        self._sockets = sockets
        self._selector = selector
        self._may_accept = may_accept
        self._leave_to_others = leave_to_others
        self._make_room = make_room
        self._names = {id(listener): listener.getsockname() for listener in sockets}
        self._accepting = False
        self._deferrals = 0
        self._shortage_logged_at = 0.0
        self.resume_at = math.inf

    def review(self) -> None:
        """Start or stop taking clients, as things are by now; due at `resume_at` at the latest."""
        self.resume_at = math.inf
        self._set_accepting(self._may_accept())
        if self._deferrals and self._accepting and not self._has_waiting_client():
            self._deferrals = 0

    def takes_next(self) -> bool:
        """Whether to take the client that waits.

        A busy worker defers only for a moment: what no other worker has taken by then, it does.
        """
        if not self._may_accept():
            self._set_accepting(False)
            return False
        if self._deferrals >= MAX_DEFERRALS or not self._leave_to_others():
            self._deferrals = 0
            return True
        self._deferrals += 1
        self._pause(DEFER_S)
        return False

    def name_of(self, listener: Any) -> Any:
        """The address a listener listens on, without asking the system each time."""
        return self._names[id(listener)]

    def accept(self, listener: Any) -> tuple[socket.socket, Any] | None:
        """The next client's socket and address, or None when there is none to be had."""
        try:
            sock, address = listener.accept()
        except OSError as error:
            # Usually another worker was quicker, or the client left before it was let in.
            if error.errno in _SHORTAGES:
                self._note_shortage(error)
            return None
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock, address

    def close(self, take: Callable[[Any], bool]) -> None:
        """Take the clients that wait, then close the sockets.

        Args:
            take: Takes one client of a listener; False when there is none left.
        """
        if self._accepting or self._deferrals:
            for listener in self._sockets:
                while take(listener):
                    pass
        self._set_accepting(False)
        self.resume_at = math.inf
        for listener in self._sockets:
            listener.close()

    def close_copies(self) -> None:
        """Close this process's copies, in a process forked from the worker."""
        for listener in self._sockets:
            listener.sock.close()

    def _set_accepting(self, accepting: bool) -> None:
        if accepting == self._accepting:
            return
        self._accepting = accepting
        for listener in self._sockets:
            if accepting:
                listener.setblocking(False)
                self._selector.register(listener, selectors.EVENT_READ, listener)
            else:
                self._selector.unregister(listener)

    def _has_waiting_client(self) -> bool:
        poller = select.poll()
        for listener in self._sockets:
            poller.register(listener, select.POLLIN)
        return bool(poller.poll(0))

    def _pause(self, seconds: float) -> None:
        self._set_accepting(False)
        self.resume_at = time.monotonic() + seconds

    def _note_shortage(self, error: OSError) -> None:
        """Make room; where there is none to be had, accepting again at once would only spin."""
        if not self._make_room():
            self._pause(PAUSE_S)
        now = time.monotonic()
        if now - self._shortage_logged_at >= SHORTAGE_LOG_S:
            self._shortage_logged_at = now
            log.error(
                "Cannot accept a connection: %s. Idle connections are closed early; "
                "raise the limit of open files (ulimit -n)",
                error.strerror,
            )
