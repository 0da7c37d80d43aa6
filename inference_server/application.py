"""The server of one process: takes requests from an HTTP engine and answers each of them once.

Engines call `begin` for every request, on any thread, and `load` and `serve` on the thread that is
to run the user's code. `begin` never blocks: health, metrics and OpenAPI are answered in it,
scoring requests later through their exchange.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from inference_server.admission import Admission
from inference_server.cors import CorsPolicy
from inference_server.engine_threads import HandOver
from inference_server.errors import QueueFullError
from inference_server.failures import Failure, place_of
from inference_server.health import Health, ServerState
from inference_server.loading import LoadedScript, load, load_again
from inference_server.log_config import InitLog, load_user_logging
from inference_server.metrics import render_metrics
from inference_server.openapi import OpenApiDocuments
from inference_server.performer import Performer, ScoringCall
from inference_server.replies import message_reply
from inference_server.request_ids import IdTooLongError, read_ids
from inference_server.request_log import RequestLog
from inference_server.routes import create_flask, reply_from_flask
from inference_server.scoreboard import Rejection, Row, Scoreboard, WorkerState
from inference_server.scoring_threads import use_short_switch_interval
from inference_server.settings import Settings
from inference_server.start_failures import describe_start_failure
from inference_server.transaction import SERVER_VERSION, AnswerPolicy, Exchange, Transaction

if TYPE_CHECKING:
    from inference_server.request_telemetry import RequestTelemetry

log = logging.getLogger("azmlinfsrv")

SHUTTING_DOWN = "The server is shutting down."
REPLACED = "This worker is being replaced because run() is stuck. Try again."

TELEMETRY_FLUSH_S = 1.0
"""How long the end of a process may wait for telemetry to be sent."""


class Application:
    """One process's server.

    Args:
        settings: What the user asked for.
        scoreboard: Shared with the master and the other workers.
        row: This worker's part of it.
        give_up: Ends this process; called when `run()` is stuck beyond repair.
        hand_over: Gives work back to the engine's thread that brought a call, for engines whose
            threads wait for their answers.

    Attributes:
        start_error: Why the script could not be loaded.
        reload_error: Asked why the script as it was saved last is not the one that serves.
    """

    def __init__(
        self,
        settings: Settings,
        scoreboard: Scoreboard,
        row: Row,
        give_up: Callable[[], None],
        hand_over: HandOver[ScoringCall] | None = None,
    ) -> None:
        self.settings = settings
        self.flask = create_flask(self)
        self.request_log = RequestLog()
        self._scoreboard = scoreboard
        self._give_up = give_up
        self._hand_over = hand_over
        self._state = ServerState.STARTING
        self.start_error: Failure | None = None
        self.reload_error: Callable[[], dict[str, object] | None] = lambda: None
        self._init_log = InitLog()
        self._held: list[tuple[Transaction, bytes]] = []
        self._holding = threading.Lock()
        self._loaded: LoadedScript | None = None
        self._performer: Performer | None = None
        self._telemetry: RequestTelemetry | None = None
        origins = settings.access_control_allow_origins
        self._cors = CorsPolicy(origins) if origins else None
        self._admission: Admission[ScoringCall] = Admission(
            places=settings.max_concurrent_requests,
            max_queue=settings.max_queue,
            # Stopped at a breakpoint, run() may take as long as the developer does.
            deadline_s=None if settings.debug_port else settings.deadline_s,
            grace_s=settings.stuck_grace,
        )
        self.attach(row)

    def attach(self, row: Row) -> None:
        """Count and report in this row of the scoreboard."""
        self._row = row
        self._admission.report = row.set_load
        row.state = WorkerState.STARTING
        version = os.environ.get("HTTP_X_MS_SERVER_VERSION", "")
        header = (SERVER_VERSION, version) if version else None
        self._policy = AnswerPolicy(header, self._cors, row, self.request_log)

    # --- loading -----------------------------------------------------------------------------

    def load(self, *, before_fork: bool = False) -> None:
        """Import the scoring script and run its `init()` on this thread.

        Args:
            before_fork: Others will serve what is loaded here; threads would not survive the fork.

        Raises:
            Exception: Whatever makes the script unservable; it has been logged.
        """
        loggers = [logging.getLogger("azmlinfsrv"), logging.getLogger()]
        try:
            load_user_logging(self.settings)
            if not before_fork:
                self._start_telemetry()
            for logger in loggers:
                logger.addHandler(self._init_log)
            if self._cors is not None:
                origins = ", ".join(self._cors.entries)
                log.info("Enabling CORS for the following origins: %s", origins)
            self._loaded = load(self.settings, self._note)
        except Exception as error:
            self.start_error, records = describe_start_failure(error, self.settings)
            self._state = ServerState.FAILED
            self._row.state = WorkerState.FAILED
            for record in records:
                log.error("%s", record)
            if self._telemetry is not None:
                self._telemetry.record_start_failure(self.start_error)
                self._telemetry.shutdown(TELEMETRY_FLUSH_S)
            raise
        finally:
            for logger in loggers:
                logger.removeHandler(self._init_log)

    @property
    def is_loaded(self) -> bool:
        """The script has loaded, perhaps in the process that this one was forked from."""
        return self._loaded is not None

    def _note(self, text: str) -> None:
        self._row.note = text

    # --- serving -----------------------------------------------------------------------------

    def serve(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Answer scoring requests on this thread until `stop`.

        Args:
            on_ready: Called once scoring requests are answered from now on.

        Raises:
            RuntimeError: `load` has not succeeded before.
        """
        if self._loaded is None:
            raise RuntimeError("load() comes before serve()")
        use_short_switch_interval()
        self.request_log.look_up_handlers()
        self.attach(self._row)
        performer = self._performer = _performer_class(self._loaded)(
            self._loaded,
            self._admission,
            app=self.flask,
            settings=self.settings,
            row=self._row,
            when_idle=self.request_log.flush_soon,
            on_stuck=self._replace_stuck_worker,
            hand_over=self._hand_over,
        )
        self._note(f"run() at {place_of(self._loaded.scoring.script.run)}")
        self._start_telemetry()
        self._admission.start_watchdog(performer)
        self._become_ready()
        on_ready()
        performer.threads.serve()
        if self._telemetry is not None:
            self._telemetry.shutdown(TELEMETRY_FLUSH_S)

    def _become_ready(self) -> None:
        log.info("Worker with pid %d ready for serving traffic", os.getpid())
        with self._holding:
            self._state = ServerState.READY
            self._row.state = WorkerState.READY
            held, self._held = self._held, []
        for transaction, body in held:
            self._route(transaction, body)

    def _start_telemetry(self) -> None:
        settings = self.settings
        wanted = settings.appinsights_enabled and settings.appinsights_instrumentation_key
        if not wanted or self._telemetry is not None:
            return
        from inference_server.request_telemetry import RequestTelemetry, TelemetryUnavailable

        try:
            self._telemetry = RequestTelemetry.start(settings)
        except TelemetryUnavailable as error:
            log.warning("Application Insights telemetry is off: %s", error)

    # --- changing the script while it serves -------------------------------------------------

    @contextmanager
    def quiet(self, timeout_s: float | None) -> Iterator[bool]:
        """No call of `run()` goes on inside the block, and new ones wait for its end.

        Args:
            timeout_s: How long calls that go on may take; None for as long as they need.

        Yields:
            Whether that has been reached: False when some call takes longer.
        """
        try:
            yield self._admission.hold(timeout_s)
        finally:
            self._admission.release()

    def describe_again(self) -> None:
        """Bind and describe `run()` as it is now, after it changed in place.

        Raises:
            StartError: The script cannot be served as it is now; nothing has changed.
        """
        if self._loaded is None or self._performer is None:
            raise RuntimeError("serve() comes before describe_again()")
        self._loaded = load_again(self._loaded, self.settings)
        self._performer.use(self._loaded)
        self._note(f"run() at {place_of(self._loaded.scoring.script.run)}")

    def stop(self) -> None:
        """Let `serve` return once everything in the queue has been answered."""
        self._row.state = WorkerState.STOPPING
        self._admission.stop()

    def _replace_stuck_worker(self) -> None:
        self._state = ServerState.FAILED
        self._row.state = WorkerState.FAILED
        self.refuse_waiting(REPLACED)
        self._give_up()

    # --- what the routes show ----------------------------------------------------------------

    @property
    def documents(self) -> OpenApiDocuments | None:
        """The OpenAPI documents, once the script has loaded."""
        return self._loaded.documents if self._loaded else None

    @property
    def is_idle(self) -> bool:
        """No scoring request runs or waits."""
        return self._admission.is_idle

    @property
    def is_saturated(self) -> bool:
        """The next scoring request would have to wait."""
        return self._admission.running + self._admission.waiting >= self._admission.places

    @property
    def is_overloaded(self) -> bool:
        """More scoring requests come than `run()` can do: most of them are refused."""
        return self._admission.is_overloaded

    @property
    def is_blocked(self) -> bool:
        """Scoring requests wait for a call that may never return."""
        return self._admission.is_blocked

    def load_now(self) -> tuple[int, int]:
        """Calls of `run()` going on, requests waiting."""
        return self._admission.running, self._admission.waiting

    def health(self) -> Health:
        """A snapshot for the health routes."""
        running, waiting = self.load_now()
        state = self._state
        if state is ServerState.READY and running >= self._admission.places:
            state = ServerState.BUSY
        error = self.start_error.as_json() if self.start_error else None
        init_log = tuple(self._init_log.lines)
        return Health(state, running, waiting, init_log, error, self.reload_error())

    def metrics(self, accept: str) -> tuple[str, bytes]:
        """Content type and body of `/metrics`, over all workers."""
        return render_metrics(self._scoreboard, accept)

    # --- requests ----------------------------------------------------------------------------

    def begin(self, environ: dict[str, Any], body: bytes, exchange: Exchange) -> Transaction:
        """Answer a request now, or queue it for `run()`. Never blocks.

        Args:
            environ: The WSGI environment.
            body: The whole body.
            exchange: Where the answer goes, now or later, from any thread.
        """
        transaction = Transaction(environ, exchange, self._policy, self._telemetry)
        try:
            transaction.identify(read_ids(environ))
        except IdTooLongError as error:
            transaction.identify(error.ids)
            transaction.send(message_reply(error.status, error.message))
            return transaction
        if not self._hold(transaction, body):
            self._route(transaction, body)
        return transaction

    def _route(self, transaction: Transaction, body: bytes) -> None:
        if transaction.path == "/score":
            self._begin_scoring(transaction, body)
        else:
            transaction.send(reply_from_flask(self.flask, transaction.environ))

    def _hold(self, transaction: Transaction, body: bytes) -> bool:
        """Keep a request waiting that only a loaded script can answer; False when it need not.

        `/` is among them, as clients of the reference rely on. Requests for `run()` itself wait in
        the queue, where there is a bound.
        """
        if self._state is not ServerState.STARTING:
            return False
        method = transaction.environ["REQUEST_METHOD"]
        if transaction.path != "/" and (transaction.path != "/score" or method in ("GET", "POST")):
            return False
        with self._holding:
            if self._state is not ServerState.STARTING:
                return False
            self._held.append((transaction, body))
            return True

    def _begin_scoring(self, transaction: Transaction, body: bytes) -> None:
        if self._state is ServerState.FAILED:
            _refuse(transaction, REPLACED)
            return
        performer = self._performer
        at_once = performer.reply_at_once(transaction) if performer else None
        if at_once is not None:
            transaction.send(at_once)
            return
        call = transaction.call = ScoringCall(transaction, body)
        try:
            self._admission.submit(call)
        except QueueFullError as error:
            self._row.count_rejection(Rejection.QUEUE_FULL)
            reply = message_reply(error.status, error.message)
            reply.headers.append(("Retry-After", str(error.retry_after_s)))
            transaction.send(reply)

    def client_gone(self, transaction: Transaction) -> bool:
        """Free the place that a request holds in the queue; False when it is not waiting."""
        call = transaction.call
        if isinstance(call, ScoringCall):
            left = self._admission.abandon(call)
        else:
            left = self._unhold(transaction)
        if left:
            self._row.count_rejection(Rejection.CLIENT_GONE)
        return left

    def _unhold(self, transaction: Transaction) -> bool:
        with self._holding:
            count = len(self._held)
            self._held = [held for held in self._held if held[0] is not transaction]
            return len(self._held) < count

    def refuse_waiting(self, message: str) -> None:
        """Answer everything in the queue with 503."""
        for call in self._admission.abandon_all():
            _refuse(call.transaction, message)

    def refuse_all(self, message: str) -> None:
        """Answer everything that waits or runs with 503, for a quick end of the process."""
        with self._holding:
            held, self._held = self._held, []
        for transaction, _ in held:
            _refuse(transaction, message)
        self.refuse_waiting(message)
        for call in self._admission.expire_all():
            _refuse(call.transaction, message)


def _performer_class(loaded: LoadedScript) -> type[Performer]:
    if loaded.scoring.script.batch is None:
        return Performer
    from inference_server.batching.performer import BatchPerformer

    return BatchPerformer


def _refuse(transaction: Transaction, message: str) -> None:
    reply = message_reply(HTTPStatus.SERVICE_UNAVAILABLE, message)
    reply.headers.append(("Retry-After", "1"))
    transaction.send(reply)
