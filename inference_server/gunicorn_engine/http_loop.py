"""The event loop of one worker: accepts, reads, hands requests over, sends what is left to send.

It runs on a thread of its own beside the scoring thread, so health answers while `run()` works, and
a client that sends or reads slowly holds a file descriptor and nothing else.
"""

from __future__ import annotations

import io
import logging
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from gunicorn.http import wsgi

from inference_server.application import SHUTTING_DOWN, Application
from inference_server.errors import RequestError
from inference_server.gunicorn_engine.connection import Connection, GunicornExchange, Phase
from inference_server.gunicorn_engine.incoming import (
    CompleteRequest,
    IncomingRequests,
    ParsedHeads,
    Progress,
)
from inference_server.gunicorn_engine.listeners import Listeners
from inference_server.replies import message_reply
from inference_server.scoreboard import Rejection, Row
from inference_server.scoring_threads import use_short_switch_interval
from inference_server.settings import Settings

log = logging.getLogger("gunicorn.error")

TICK_S = 0.5
"""How often time-outs and the heartbeat are looked after."""

LINGER_S = 1.0
"""How long after the last request a stopping worker keeps idle connections, for another one that
may be on its way. Each is closed behind its next answer, so a pool of them empties meanwhile."""

DRAIN_S = 2.0
"""A connection is read from after its last answer until the client pauses so long: closing while
bytes come in would reset the connection, and the client might never see the answer."""

LONGEST_DRAIN_S = 30.0

GONE_AFTER_S = 0.1
"""A client that closed its sending side this long ago, and still waits in the queue, has left."""

ACCEPTS_AT_ONCE = 64
"""Clients let in before those that are there get their turn."""

PAUSE_S = 0.0003
"""How long the loop leaves the interpreter to the scoring thread while requests wait for it anyway.
Reading each request as it comes would have the two threads take it from each other twice for each,
which costs a third of the throughput."""

PAUSE_WITH = 4
"""Waiting requests that make the loop pause: so many that none of them is late for it."""

GATHER_S = 0.005
"""While most requests are refused, the loop lets so many seconds' worth gather: going through them
together takes less time away from `run()` than being woken by each."""

_WAKE = b"\0"
"""Any other byte on the wake socket is the number of a signal, written by `set_wakeup_fd`."""

READ_SIZE = 65536
BIG_READ_SIZE = 1 << 20


@dataclass(frozen=True)
class LoopHooks:
    """What the worker process lends to the loop.

    Attributes:
        beat: Tells the master that the worker lives.
        may_accept: Whether this worker should take new connections now.
        other_is_idle: Whether another worker could score a request at once.
        request_started: Counts a request; False when the worker should stop after it.
        signalled: Told of each signal's number.
    """

    beat: Callable[[], None]
    may_accept: Callable[[], bool]
    other_is_idle: Callable[[], bool]
    request_started: Callable[[], bool]
    signalled: Callable[[int], None]


class HttpLoop:
    """One worker's loop.

    Args:
        listeners: Listening sockets, shared with the other workers.
        cfg: gunicorn's configuration.
        settings: The server's settings.
        application: Answers requests.
        hooks: The worker process.
        row: Counts of this worker.
    """

    def __init__(
        self,
        listeners: list[Any],
        cfg: Any,
        settings: Settings,
        application: Application,
        hooks: LoopHooks,
        row: Row,
    ) -> None:
        self.stopping = False
        self._cfg = cfg
        self._settings = settings
        self._application = application
        self._hooks = hooks
        self._row = row
        self._request_log = application.request_log
        self._selector = selectors.DefaultSelector()
        self._connections: set[Connection] = set()
        self._actions: deque[Callable[[], None]] = deque()
        self._wake_receiver, self._wake_sender = socket.socketpair()
        for end in (self._wake_receiver, self._wake_sender):
            end.setblocking(False)
        self._listeners = Listeners(
            listeners,
            self._selector,
            hooks.may_accept,
            self._leave_to_others,
            self._close_idle_connections,
        )
        self._next_tick = 0.0
        self._is_rushed = False
        self._stop_at = self._stop_at_last = 0.0
        self._thread_id = 0
        self._heads = ParsedHeads(cfg)

    # --- from any thread ---------------------------------------------------------------------

    def soon(self, action: Callable[[], None]) -> None:
        """Run an action on the loop's thread."""
        self._actions.append(action)
        if threading.get_ident() != self._thread_id:
            self.wake()

    def wake(self) -> None:
        """Make the loop look around now; safe in a signal handler."""
        try:
            self._wake_sender.send(_WAKE)
        except (BlockingIOError, OSError):
            # A full pipe wakes the loop just as well; a closed one means that it has ended.
            return

    @property
    def wake_descriptor(self) -> int:
        """For `signal.set_wakeup_fd`: signals are noticed whatever the main thread does."""
        return self._wake_sender.fileno()

    # --- the loop ----------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until `stop` has been called and every request has its answer."""
        self._selector.register(self._wake_receiver, selectors.EVENT_READ, None)
        self._thread_id = threading.get_ident()
        while not self._is_finished():
            now = time.monotonic()
            if now >= min(self._next_tick, self._listeners.resume_at):
                self._tick(now)
                self._act()
            pause = min(self._next_tick, self._listeners.resume_at) - now
            if self._application.is_overloaded != self._is_rushed:
                self._is_rushed = not self._is_rushed
                use_short_switch_interval(rush=self._is_rushed)
            if self._is_rushed:
                time.sleep(GATHER_S)
            elif self._application.load_now()[1] >= PAUSE_WITH:
                time.sleep(PAUSE_S)
            for key, events in self._selector.select(max(0.0, pause)):
                self._handle(key, events)
            self._act()
            self._request_log.flush_soon()
        self._request_log.flush()
        self._application.stop()

    def _act(self) -> None:
        while self._actions:
            self._actions.popleft()()

    def stop(self) -> None:
        """Take what clients have already sent, then finish what is in flight (loop's thread)."""
        if self.stopping:
            return
        self._listeners.close(take=self._accept)
        self.stopping = True
        self._stop_at = time.monotonic() + LINGER_S
        self._stop_at_last = time.monotonic() + self._settings.graceful_timeout / 2

    def abort(self) -> None:
        """Answer everything in flight with 503, for a quick end (loop's thread)."""
        self.stop()
        self._stop_at = self._stop_at_last = 0.0
        self._application.refuse_all(SHUTTING_DOWN)

    def close_sockets(self) -> None:
        """Close this process's copies of all sockets, in a process forked from this one."""
        for connection in self._connections:
            connection.sock.close()
        self._listeners.close_copies()
        self._wake_receiver.close()
        self._wake_sender.close()
        self._selector.close()

    @property
    def has_unsent(self) -> bool:
        """Some answer is not with its client yet."""
        return any(
            connection.phase in (Phase.ANSWERING, Phase.FLUSHING)
            for connection in tuple(self._connections)
        )

    def _is_finished(self) -> bool:
        if not self.stopping:
            return False
        linger = time.monotonic() < self._stop_at
        busy = any(
            connection.phase is not Phase.READING
            or connection.incoming.progress is not Progress.NOTHING
            or linger
            for connection in self._connections
        )
        return not busy and self._application.is_idle

    def _handle(self, key: selectors.SelectorKey, events: int) -> None:
        try:
            self._dispatch(key.data, events)
        except Exception:
            # One connection's trouble, whatever it is, must not end the loop for all the others.
            log.exception("A connection was closed because of an internal error")
            if isinstance(key.data, Connection):
                self._close(key.data)

    def _dispatch(self, target: Any, events: int) -> None:
        if isinstance(target, Connection):
            if events & selectors.EVENT_WRITE:
                self.flush(target)
            if events & selectors.EVENT_READ and target.phase is not Phase.CLOSED:
                self._read(target)
        elif target is None:
            self._drain_wakes()
        else:
            self._accept_some(target)

    def _drain_wakes(self) -> None:
        try:
            while data := self._wake_receiver.recv(4096):
                for number in data.replace(_WAKE, b""):
                    self._hooks.signalled(number)
        except BlockingIOError:
            return

    def _tick(self, now: float) -> None:
        self._hooks.beat()
        if not self.stopping:
            self._listeners.review()
        for connection in tuple(self._connections):
            self._check_time(connection, now)
        self._next_tick = now + (TICK_S if not self.stopping else 0.05)

    def look_after(self) -> None:
        """Do what the next tick would do, now (loop's thread)."""
        self._next_tick = 0.0

    # --- accepting ---------------------------------------------------------------------------

    def _accept_some(self, listener: Any) -> None:
        alone = self._cfg.workers == 1
        for _ in range(ACCEPTS_AT_ONCE if alone or self._application.is_overloaded else 1):
            if not self._listeners.takes_next() or not self._accept(listener):
                return

    def _accept(self, listener: Any) -> bool:
        """Let one client in; False when there is none to be had."""
        accepted = self._listeners.accept(listener)
        if accepted is None:
            return False
        sock, address = accepted
        incoming = IncomingRequests(self._cfg, address, self._settings.max_body_size, self._heads)
        connection = Connection(sock, address, self._listeners.name_of(listener), incoming)
        self._connections.add(connection)
        # Clients usually send at once; one that is answered at once is never watched at all.
        self._read(connection)
        if connection.phase is not Phase.DRAINING:
            self._watch(connection, connection.events | selectors.EVENT_READ)
        return True

    def _leave_to_others(self) -> bool:
        return self._application.is_saturated and self._hooks.other_is_idle()

    def _close_idle_connections(self) -> bool:
        """Make room for new clients; False when every connection is in use."""
        idle = [
            connection
            for connection in self._connections
            if connection.phase is Phase.READING
            and connection.incoming.progress is Progress.NOTHING
        ]
        idle.sort(key=lambda connection: connection.since)
        # The newest may be about to send; half of them are room enough for a while.
        for connection in idle[: (len(idle) + 1) // 2]:
            self._close(connection)
        return bool(idle)

    # --- reading -----------------------------------------------------------------------------

    def _read(self, connection: Connection) -> None:
        big = connection.incoming.progress is Progress.BODY
        try:
            data = connection.sock.recv(BIG_READ_SIZE if big else READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._client_left(connection)
            return
        if not data:
            self._client_closed(connection)
            return
        if connection.phase is Phase.DRAINING:
            connection.since = time.monotonic()
            return
        if connection.incoming.progress is Progress.NOTHING or big:
            connection.since = time.monotonic()
        connection.incoming.feed(data)
        if connection.phase is Phase.READING:
            self.resume(connection)
        elif connection.incoming.buffered > READ_SIZE:
            # Pipelined faster than answered: let the kernel hold the client back.
            self._watch(connection, connection.events & ~selectors.EVENT_READ)

    def resume(self, connection: Connection) -> None:
        """Go on with a connection whose answer has been sent, or that has new bytes."""
        if connection.phase is not Phase.READING:
            return
        try:
            request = connection.incoming.next_request()
        except RequestError as error:
            self._refuse(connection, error)
            return
        if request is not None:
            if not connection.events and connection.incoming.buffered <= READ_SIZE:
                self._watch_reads(connection)
            self._begin(connection, request)
        elif connection.client_closed or (
            self.stopping
            and connection.incoming.progress is Progress.NOTHING
            and time.monotonic() >= self._stop_at
        ):
            self._cut_short(connection)
        else:
            if connection.incoming.wants_continue:
                with connection.lock:
                    connection.send_now(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._watch_reads(connection)

    def _cut_short(self, connection: Connection) -> None:
        """The client ended its side: fine between requests, an error in the middle of one."""
        if connection.incoming.progress is Progress.NOTHING:
            self.drop(connection)
            return
        what = "body" if connection.incoming.progress is Progress.BODY else "header"
        message = f"The connection was closed before the request's {what} was complete."
        self._refuse(connection, RequestError(HTTPStatus.BAD_REQUEST, message))

    def _begin(self, connection: Connection, request: CompleteRequest) -> None:
        connection.phase = Phase.ANSWERING
        if self.stopping:
            self._stop_at = min(time.monotonic() + LINGER_S, self._stop_at_last)
        keep_alive = self._hooks.request_started() and self._settings.keep_alive > 0
        if request.head is not connection.head:
            connection.head, connection.environ = request.head, self._environ(connection, request)
        environ = dict(connection.environ)
        environ["wsgi.input"] = io.BytesIO(request.body)
        if "HTTP_TRANSFER_ENCODING" in environ:
            environ["CONTENT_LENGTH"] = str(len(request.body))
        exchange = GunicornExchange(
            connection,
            request,
            self,
            keep_alive=keep_alive,
            write_timeout_s=self._settings.body_timeout,
        )
        transaction = self._application.begin(environ, request.body, exchange)
        if connection.phase is Phase.ANSWERING:
            connection.transaction = transaction

    def _environ(self, connection: Connection, request: CompleteRequest) -> dict[str, Any]:
        """The WSGI environment of a request but for its body."""
        _, created = wsgi.create(
            request.head, connection.sock, connection.address, connection.server, self._cfg
        )
        environ = {**created, "wsgi.multithread": True}
        # It would write to the socket past the loop.
        environ.pop("wsgi.early_hints", None)
        return environ

    def _refuse(self, connection: Connection, error: RequestError) -> None:
        """Answer something that is not a usable request, and close."""
        if error.status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            self._row.count_rejection(Rejection.BODY_TOO_LARGE)
        log.warning("Invalid request from ip=%s: %s", _host(connection.address), error)
        self._row.count_status(error.status)
        reply = message_reply(error.status, error.message)
        lines = [
            f"HTTP/1.1 {error.status.value} {error.status.phrase}\r\n",
            "Connection: close\r\n",
            *(f"{name}: {value}\r\n" for name, value in reply.headers),
            "\r\n",
        ]
        try:
            with connection.lock:
                self._start_draining(connection)
                connection.send_now("".join(lines).encode("latin-1") + reply.body)
                connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(connection)
            return
        self._watch(connection, selectors.EVENT_READ)

    # --- clients that leave ------------------------------------------------------------------

    def _client_closed(self, connection: Connection) -> None:
        """The client will send no more; it may still read."""
        connection.client_closed = True
        if connection.phase is Phase.READING:
            self.resume(connection)
        elif connection.phase is Phase.DRAINING:
            self._close(connection)
        else:
            connection.since = time.monotonic()
            self._watch(connection, connection.events & ~selectors.EVENT_READ)
            self._next_tick = min(self._next_tick, connection.since + GONE_AFTER_S)

    def _client_left(self, connection: Connection) -> None:
        transaction = connection.transaction
        if transaction is not None:
            self._application.client_gone(transaction)
        self._close(connection)

    def _check_time(self, connection: Connection, now: float) -> None:
        waited = now - connection.since
        settings = self._settings
        if connection.phase is Phase.ANSWERING:
            if connection.client_closed and waited >= GONE_AFTER_S:
                transaction = connection.transaction
                if transaction is not None and self._application.client_gone(transaction):
                    self._close(connection)
        elif connection.phase is Phase.DRAINING:
            hurry = self.stopping and now >= self._stop_at
            if waited >= DRAIN_S or now >= connection.drains_until or hurry:
                self._close(connection)
        elif connection.phase is Phase.FLUSHING:
            if waited >= settings.body_timeout:
                self._close(connection)
        elif connection.phase is Phase.READING:
            self._check_reading(connection, now, waited)

    def _check_reading(self, connection: Connection, now: float, waited: float) -> None:
        progress = connection.incoming.progress
        if progress is Progress.NOTHING:
            if waited >= self._settings.keep_alive or (self.stopping and now >= self._stop_at):
                self._close_idle(connection)
            return
        limit = self._settings.body_timeout
        if progress is Progress.HEAD:
            limit = self._settings.header_timeout
        if waited >= limit:
            self._row.count_rejection(Rejection.READ_TIMEOUT)
            what = "header" if progress is Progress.HEAD else "body"
            message = f"The request's {what} did not arrive within {limit:g} seconds."
            self._refuse(connection, RequestError(HTTPStatus.REQUEST_TIMEOUT, message))

    def _close_idle(self, connection: Connection) -> None:
        """Close a connection between requests, unless one has just arrived: it would be reset."""
        self._read(connection)
        is_idle = connection.incoming.progress is Progress.NOTHING
        if connection.phase is Phase.READING and is_idle:
            self._close(connection)

    # --- writing and closing -----------------------------------------------------------------

    def flush(self, connection: Connection) -> None:
        """Send what the socket did not take at once."""
        with connection.lock:
            if connection.phase is not Phase.FLUSHING:
                return
            try:
                sent = connection.sock.send(memoryview(connection.outbox)[:BIG_READ_SIZE])
                del connection.outbox[:sent]
                connection.since = time.monotonic()
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:
                connection.outbox.clear()
                connection.close_when_flushed = True
            if connection.outbox:
                self._watch(connection, connection.events | selectors.EVENT_WRITE)
                return
            connection.phase = Phase.READING
        if connection.close_when_flushed:
            self.drop(connection)
        else:
            self._watch_reads(connection)
            self.resume(connection)

    def drop(self, connection: Connection) -> None:
        """Close a connection, reading what the client still sends so that it sees our answer."""
        if connection.phase is Phase.CLOSED:
            return
        if connection.client_closed or not connection.incoming.buffered:
            self._close(connection)
            return
        self._start_draining(connection)
        try:
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(connection)

    @staticmethod
    def _start_draining(connection: Connection) -> None:
        connection.phase = Phase.DRAINING
        connection.since = time.monotonic()
        connection.drains_until = connection.since + LONGEST_DRAIN_S

    def _close(self, connection: Connection) -> None:
        if connection.phase is Phase.CLOSED:
            return
        self._watch(connection, 0)
        connection.phase = Phase.CLOSED
        self._connections.discard(connection)
        connection.sock.close()

    def _watch_reads(self, connection: Connection) -> None:
        self._watch(connection, 0 if connection.client_closed else selectors.EVENT_READ)

    def _watch(self, connection: Connection, events: int) -> None:
        if connection.phase is Phase.CLOSED or events == connection.events:
            return
        if not connection.events:
            self._selector.register(connection.sock, events, connection)
        elif events:
            self._selector.modify(connection.sock, events, connection)
        else:
            self._selector.unregister(connection.sock)
        connection.events = events


def _host(address: Any) -> str:
    return str(address[0]) if isinstance(address, tuple) else str(address or os.getpid())
