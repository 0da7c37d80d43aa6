"""The server of one process: takes requests from an HTTP engine and answers each of them once.

Engines call `begin` for every request, on any thread, and `load` and `serve` on the thread that is
to run the user's code. `begin` never blocks: health, metrics and OpenAPI are answered in it, scoring
requests later through their exchange.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from inference_server.admission import Admission, Call
from inference_server.binding import ScoringInput, choose_binding
from inference_server.cors import CorsPolicy
from inference_server.errors import QueueFullError
from inference_server.failures import Failure
from inference_server.flask_context import lazy_context
from inference_server.health import Health, ServerState
from inference_server.inference_schema_support import mend_on_import
from inference_server.log_config import InitLog, hook_print, load_user_logging
from inference_server.metrics import render_metrics
from inference_server.openapi import OpenApiDocuments, ServiceDescription, build_openapi_documents
from inference_server.reference_names import provide_reference_names
from inference_server.replies import Reply, message_reply
from inference_server.request_context import current_request
from inference_server.request_ids import IdTooLongError, read_ids
from inference_server.request_log import RequestLog
from inference_server.routes import create_flask, reply_from_flask, score_method_reply
from inference_server.scoreboard import Rejection, Row, Scoreboard, Stage, WorkerState
from inference_server.scoring import Scoring
from inference_server.scoring_script import load_script, run_init
from inference_server.scoring_threads import (
    AsyncScoringThread,
    SyncScoringThreads,
    use_short_switch_interval,
)
from inference_server.settings import Settings
from inference_server.start_failures import describe_start_failure
from inference_server.streaming import error_event
from inference_server.transaction import AnswerPolicy, ClientGoneError, Exchange, Transaction

log = logging.getLogger("azmlinfsrv")

SHUTTING_DOWN = "The server is shutting down."
REPLACED = "This worker is being replaced because run() is stuck. Try again."


class ScoringCall(Call):
    """A call in admission together with its request."""

    __slots__ = ("request", "transaction")

    def __init__(self, transaction: Transaction, body: bytes) -> None:
        super().__init__()
        self.transaction = transaction
        self.request = ScoringInput(transaction.environ, body)


class Application:
    """One process's server.

    Args:
        settings: What the user asked for.
        scoreboard: Shared with the master and the other workers.
        give_up: Ends this process; called when `run()` is stuck beyond repair.
    """

    def __init__(
        self, settings: Settings, scoreboard: Scoreboard, give_up: Callable[[], None]
    ) -> None:
        self.settings = settings
        self.documents: OpenApiDocuments | None = None
        self.flask = create_flask(self)
        self.request_log = RequestLog()
        self._scoreboard = scoreboard
        self._give_up = give_up
        self._state = ServerState.STARTING
        self._start_error: Failure | None = None
        self._init_log = InitLog()
        self._held: list[Transaction] = []
        self._holding = threading.Lock()
        self._scoring: Scoring | None = None
        self._threads: SyncScoringThreads | AsyncScoringThread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        origins = settings.access_control_allow_origins
        self._cors = CorsPolicy(origins) if origins else None
        self._telemetry: Any = None
        self.attach(Scoreboard()._rows[0])
        self._admission = Admission(
            places=settings.max_concurrent_requests,
            max_queue=settings.max_queue,
            # Stopped at a breakpoint, run() may take as long as the developer does.
            deadline_s=None if settings.debug_port else settings.deadline_s,
            grace_s=settings.stuck_grace,
            watcher=self,
        )

    def attach(self, row: Row) -> None:
        """Count and report in this row of the scoreboard."""
        self._row = row
        version = os.environ.get("HTTP_X_MS_SERVER_VERSION", "")
        self._policy = AnswerPolicy(version, self._cors, row, self.request_log)
        row.state = _WORKER_STATES[self._state]

    # --- loading -----------------------------------------------------------------------------

    def load(self) -> None:
        """Import the scoring script and run its `init()` on this thread.

        Raises:
            Exception: Whatever makes the script unservable; it has been logged.
        """
        handlers = [logging.getLogger("azmlinfsrv"), logging.getLogger()]
        try:
            load_user_logging(self.settings)
            for logger in handlers:
                logger.addHandler(self._init_log)
            self._load()
        except Exception as error:
            self._fail(error)
            raise
        finally:
            for logger in handlers:
                logger.removeHandler(self._init_log)

    def _load(self) -> None:
        settings = self.settings
        hook_print()
        provide_reference_names()
        mend_on_import()
        if self._cors is not None:
            origins = ", ".join(self._cors.entries)
            log.info("Enabling CORS for the following origins: %s", origins)
        script = load_script(settings)
        binding = choose_binding(script)
        logging.getLogger("azmlinfsrv.user_script").info("%s", binding.description)
        if script.is_async or inspect.iscoroutinefunction(script.init):
            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
        run_init(script, self._loop)
        service = ServiceDescription(
            settings.service_name, settings.service_version, settings.service_path_prefix
        )
        self.documents = build_openapi_documents(service, binding.schemas, Path(settings.app_root))
        log.info("Scoring timeout is set to %s", settings.scoring_timeout_ms)
        self._scoring = Scoring(script, binding, settings)

    def _fail(self, error: Exception) -> None:
        failure, lines = describe_start_failure(error, self.settings)
        self._start_error = failure
        self._state = ServerState.FAILED
        self._row.state = WorkerState.FAILED
        for line in lines:
            log.error("%s", line)

    # --- serving -----------------------------------------------------------------------------

    def serve(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Answer scoring requests on this thread until `stop`; `load` must have succeeded.

        Args:
            on_ready: Called once scoring requests are answered from now on.
        """
        use_short_switch_interval()
        scoring = self._scoring
        if scoring is None:
            raise RuntimeError("load() comes before serve()")
        if scoring.script.is_async and self._loop is not None:
            self._threads = AsyncScoringThread(self._admission, self._perform_async, self._loop)
        else:
            self._threads = SyncScoringThreads(
                self._admission, self._perform, self.request_log.flush
            )
        self._start_telemetry()
        self._admission.start_watchdog()
        self.request_log.look_up_handlers()
        self.attach(self._row)
        self._become_ready()
        on_ready()
        self._threads.serve()
        if self._telemetry is not None:
            self._telemetry.shutdown(2.0)

    def _become_ready(self) -> None:
        log.info("Worker with pid %d ready for serving traffic", os.getpid())
        with self._holding:
            self._state = ServerState.READY
            self._row.state = WorkerState.READY
            held, self._held = self._held, []
        for transaction in held:
            transaction.send(reply_from_flask(self.flask, transaction.environ))

    def _start_telemetry(self) -> None:
        if self.settings.appinsights_enabled and self.settings.appinsights_instrumentation_key:
            from inference_server.request_telemetry import RequestTelemetry, TelemetryUnavailable

            try:
                self._telemetry = RequestTelemetry.start(self.settings)
            except TelemetryUnavailable as error:
                log.warning("Application Insights telemetry is off: %s", error)

    def stop(self) -> None:
        """Let `serve` return once everything in the queue has been answered."""
        self._row.state = WorkerState.STOPPING
        self._admission.stop()

    @property
    def is_idle(self) -> bool:
        """No scoring request runs or waits."""
        return self._admission.is_idle

    def health(self) -> Health:
        """A snapshot for the health routes."""
        state = self._state
        if state is ServerState.READY and self._admission.running >= self._admission.places:
            state = ServerState.BUSY
        return Health(
            state,
            self._admission.running,
            self._admission.waiting,
            tuple(self._init_log.lines),
            self._start_error.as_json() if self._start_error else None,
        )

    def metrics(self, accept: str) -> tuple[str, bytes]:
        """Content type and body of `/metrics`, over all workers."""
        self._row.set_load(*self.load_now())
        return render_metrics(self._scoreboard, accept)

    # --- requests ----------------------------------------------------------------------------

    def begin(self, environ: dict[str, Any], body: bytes, exchange: Exchange) -> Transaction:
        """Answer a request now, or queue it for `run()`. Never blocks.

        Args:
            environ: The WSGI environment.
            body: The whole body.
            exchange: Where the answer goes, now or later, from any thread.
        """
        transaction = Transaction(environ, exchange, self._policy)
        transaction.on_done = self._telemetry
        try:
            transaction.ids = read_ids(environ)
        except IdTooLongError as error:
            transaction.ids = error.ids
            transaction.send(message_reply(error.status, error.message))
            return transaction
        if transaction.path == "/score":
            self._begin_scoring(transaction, body)
        elif transaction.path != "/" or not self._hold(transaction):
            transaction.send(reply_from_flask(self.flask, environ))
        return transaction

    def _hold(self, transaction: Transaction) -> bool:
        """Keep `/` waiting until the script has loaded, as clients of the reference rely on."""
        if self._state is not ServerState.STARTING:
            return False
        with self._holding:
            if self._state is not ServerState.STARTING:
                return False
            self._held.append(transaction)
            return True

    def _begin_scoring(self, transaction: Transaction, body: bytes) -> None:
        if self._scoring is not None or transaction.environ["REQUEST_METHOD"] == "HEAD":
            at_once = self._method_reply(transaction)
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

    def _method_reply(self, transaction: Transaction) -> Reply | None:
        is_raw = self._scoring is not None and self._scoring.script.is_raw
        return score_method_reply(transaction.environ["REQUEST_METHOD"], is_raw=is_raw)

    def load_now(self) -> tuple[int, int]:
        """Calls of `run()` going on, requests waiting."""
        return self._admission.running, self._admission.waiting

    def client_gone(self, transaction: Transaction) -> bool:
        """Free the place that a request holds in the queue; False when it is not in the queue."""
        call = transaction.call
        if call is None or not self._admission.abandon(call):
            return False
        self._row.count_rejection(Rejection.CLIENT_GONE)
        return True

    def refuse_waiting(self, message: str) -> None:
        """Answer everything in the queue with 503."""
        for call in self._admission.abandon_all():
            if isinstance(call, ScoringCall):
                reply = message_reply(HTTPStatus.SERVICE_UNAVAILABLE, message)
                reply.headers.append(("Retry-After", "1"))
                call.transaction.send(reply)

    def refuse_all(self, message: str) -> None:
        """Answer everything that waits or runs with 503, for a quick end of the process."""
        with self._holding:
            held, self._held = self._held, []
        for transaction in held:
            transaction.send(message_reply(HTTPStatus.SERVICE_UNAVAILABLE, message))
        self.refuse_waiting(message)
        for call in self._admission.expire_all():
            if isinstance(call, ScoringCall):
                call.transaction.send(message_reply(HTTPStatus.SERVICE_UNAVAILABLE, message))

    # --- on scoring threads ------------------------------------------------------------------

    def _perform(self, call: Call) -> None:
        assert isinstance(call, ScoringCall)
        assert isinstance(self._threads, SyncScoringThreads)
        transaction = call.transaction
        token = current_request.set(transaction.labels)
        try:
            with lazy_context(self.flask, transaction.environ, transaction.ids):
                reply, spent = self._answer(call, partial(self._threads.call, call))
                if self._take_answer(call, reply, spent):
                    self._stream(transaction, reply)
        finally:
            current_request.reset(token)

    def _answer(self, call: ScoringCall, guard: Callable[..., Any]) -> tuple[Reply, float]:
        assert self._scoring is not None
        at_once = self._method_reply(call.transaction)
        return (at_once, 0.0) if at_once else self._scoring.answer(call.request, guard)

    async def _perform_async(self, call: Call) -> None:
        assert isinstance(call, ScoringCall)
        assert self._scoring is not None
        transaction = call.transaction
        current_request.set(transaction.labels)
        with lazy_context(self.flask, transaction.environ, transaction.ids):
            call.interruptible = True
            reply, spent = await self._scoring.answer_async(call.request)
            call.interruptible = False
            if self._take_answer(call, reply, spent):
                await self._stream_async(transaction, reply)

    def _take_answer(self, call: ScoringCall, reply: Reply, spent: float) -> bool:
        """Send an answer unless the deadline's was sent; True when a stream is still to be sent."""
        if not self._admission.claim(call):
            _close(reply.stream)
            return False
        self._row.observe(Stage.QUEUE, call.queued_s)
        self._row.observe(Stage.RUN, spent)
        if reply.failure is not None:
            log_failure(reply.failure, reply.code)
        if reply.stream is None:
            call.transaction.send(reply)
            return False
        return True

    def _stream(self, transaction: Transaction, reply: Reply) -> None:
        complete = False
        chunks: Any = reply.stream
        try:
            transaction.start_stream(reply)
            for chunk in chunks:
                if chunk:
                    transaction.exchange.write(chunk)
            complete = True
        except ClientGoneError:
            self._row.count_rejection(Rejection.CLIENT_GONE)
        except (Exception, SystemExit) as error:
            self._break_off(transaction, reply, error)
        finally:
            _close(chunks)
            transaction.exchange.finish(complete=complete)
            transaction.account(reply, "N/A")

    async def _stream_async(self, transaction: Transaction, reply: Reply) -> None:
        complete = False
        chunks: Any = reply.stream
        loop = asyncio.get_running_loop()
        try:
            transaction.start_stream(reply)
            async for chunk in chunks:
                if chunk:
                    # A slow reader must not stop the other calls on this loop.
                    await loop.run_in_executor(None, transaction.exchange.write, chunk)
            complete = True
        except ClientGoneError:
            self._row.count_rejection(Rejection.CLIENT_GONE)
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            self._break_off(transaction, reply, error)
        finally:
            await chunks.aclose()
            transaction.exchange.finish(complete=complete)
            transaction.account(reply, "N/A")

    def _break_off(self, transaction: Transaction, reply: Reply, error: BaseException) -> None:
        assert self._scoring is not None
        failure = self._scoring.error_reply(error).failure
        if failure is None:
            return
        log_failure(failure, HTTPStatus.INTERNAL_SERVER_ERROR)
        content_type = dict(reply.headers).get("Content-Type", "")
        if self.settings.error_details == "full":
            event = error_event(content_type, failure.as_json())
            if event:
                transaction.exchange.write(event)

    # --- on the watchdog's thread ------------------------------------------------------------

    def overdue(self, call: Call) -> None:
        """Answer a call whose deadline has passed, and interrupt its `run()`."""
        assert isinstance(call, ScoringCall)
        assert self._scoring is not None
        assert self._threads is not None
        reply = self._scoring.overdue_reply(self._threads.frames(call))
        current_request.set(call.transaction.labels)
        self._row.count_rejection(Rejection.DEADLINE)
        call.transaction.send(reply)
        if reply.failure is not None:
            log_failure(reply.failure, reply.code)
        self._threads.interrupt(call)
        current_request.set(None)

    def stuck(self, call: Call) -> None:
        """Replace this process: its `run()` did not return, whatever it was told."""
        assert self._threads is not None
        frames = self._threads.frames(call)
        place = f"\n  {frames[-1]}" if frames else ""
        log.critical(
            "run() is still busy %.3g s after its deadline; this worker (pid %d) is replaced%s",
            self.settings.stuck_grace, os.getpid(), place,
        )  # fmt: skip
        self._state = ServerState.FAILED
        self._row.state = WorkerState.FAILED
        self.refuse_waiting(REPLACED)
        until = time.monotonic() + self.settings.stuck_grace
        while self._admission.running > 1 and time.monotonic() < until:
            time.sleep(0.05)
        self._give_up()


_WORKER_STATES = {
    ServerState.STARTING: WorkerState.STARTING,
    ServerState.READY: WorkerState.READY,
    ServerState.BUSY: WorkerState.READY,
    ServerState.FAILED: WorkerState.FAILED,
}


def log_failure(failure: Failure, status: int) -> None:
    """Log where a request failed: as an error of the script, or as a warning about the client's."""
    level = logging.ERROR if status >= HTTPStatus.INTERNAL_SERVER_ERROR else logging.WARNING
    text = "\n".join(failure.log_lines())
    extra = {"fields": {"error": failure.as_json()}}
    log.log(level, "Encountered Exception: %s", text, extra=extra)


def _close(stream: Any) -> None:
    close = getattr(stream, "close", None)
    if close is not None:
        close()
