"""Takes calls out of admission, has them scored, and gives each of them exactly one answer."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

import flask

from inference_server.admission import Admission, Call, CallState
from inference_server.binding import ScoringInput
from inference_server.engine_threads import EngineThreads, HandOver
from inference_server.failures import Failure, Frame, describe, frame_of_code
from inference_server.flask_context import FlaskContext
from inference_server.loading import LoadedScript
from inference_server.replies import INTERNAL_ERROR, Reply, message_reply
from inference_server.request_context import current_request
from inference_server.routes import score_method_reply
from inference_server.scoreboard import Rejection, Row, Stage
from inference_server.scoring_threads import (
    AsyncScoringThread,
    SyncScoringThreads,
    async_inbox_of,
    inbox_of,
)
from inference_server.settings import Settings
from inference_server.streaming import error_event
from inference_server.transaction import ClientGoneError, Transaction

log = logging.getLogger("azmlinfsrv")


class ScoringCall(Call):
    """A call in admission together with its request."""

    __slots__ = ("request", "transaction")

    def __init__(self, transaction: Transaction, body: bytes) -> None:
        super().__init__()
        self.transaction = transaction
        self.request = ScoringInput(transaction.environ, body)


class Performer:
    """Answers the calls of one process with its loaded script.

    Args:
        loaded: The script.
        admission: Where calls come from.
        app: The Flask application whose globals scripts may use.
        settings: The server's settings.
        row: Counts of this worker.
        when_idle: Called by a scoring thread before it waits for the next call.
        on_stuck: Replaces this process; called when a call never returns.
        hand_over: Gives work back to the engine's thread that brought a call, for engines whose
            threads wait for their answers.
    """

    def __init__(
        self,
        loaded: LoadedScript,
        admission: Admission[ScoringCall],
        *,
        app: flask.Flask,
        settings: Settings,
        row: Row,
        when_idle: Callable[[], None],
        on_stuck: Callable[[], None],
        hand_over: HandOver[ScoringCall] | None = None,
    ) -> None:
        self.use(loaded)
        self._admission = admission
        self._app = app
        self._settings = settings
        self._row = row
        self._on_stuck = on_stuck
        self._hand_over = hand_over
        loop = loaded.loop if loaded.scoring.script.is_async else None
        self.threads = self._make_threads(loop, when_idle)

    def _make_threads(
        self, loop: asyncio.AbstractEventLoop | None, when_idle: Callable[[], None]
    ) -> SyncScoringThreads[Any] | AsyncScoringThread[Any] | EngineThreads[Any]:
        admission = self._admission
        if loop is not None:
            inbox = async_inbox_of(admission, loop)
            return AsyncScoringThread(admission, inbox, self._perform_async, loop)
        if self._hand_over is not None and not self._settings.has_own_deadline:
            return EngineThreads(admission, self._perform, when_idle, self._hand_over)
        return SyncScoringThreads(admission, inbox_of(admission), self._perform, when_idle)

    def use(self, loaded: LoadedScript) -> None:
        """Score with this description of the script from now on; its threads stay."""
        self._scoring = loaded.scoring
        self._is_raw = loaded.scoring.script.is_raw

    def reply_at_once(self, transaction: Transaction) -> Reply | None:
        """The answer for methods that do not reach `run()`."""
        return score_method_reply(transaction.environ["REQUEST_METHOD"], is_raw=self._is_raw)

    # --- on scoring threads ------------------------------------------------------------------

    def _perform(self, call: ScoringCall, guard: Callable[..., Any]) -> None:
        transaction = call.transaction
        token = current_request.set(transaction.labels)
        try:
            with FlaskContext(self._app, transaction.environ, transaction.ids):
                reply, spent = self._scoring.answer(call.request, guard)
                if not self._claim(call, reply, spent):
                    close_stream(reply)
                elif reply.stream is None:
                    self._send_whole(call, reply)
                else:
                    self._stream_on(call, reply)
        except Exception as error:  # noqa: BLE001 - ours; logged there
            self._give_up(call, error)
        finally:
            current_request.reset(token)

    def _stream_on(self, call: ScoringCall, reply: Reply) -> None:
        stream = partial(self._stream, call.transaction, reply)
        if isinstance(self.threads, EngineThreads):
            self.threads.stream(call, stream)
        else:
            stream()

    async def _perform_async(self, call: ScoringCall) -> None:
        transaction = call.transaction
        current_request.set(transaction.labels)
        try:
            with FlaskContext(self._app, transaction.environ, transaction.ids):
                call.interruptible = True
                reply, spent = await self._scoring.answer_async(call.request)
                call.interruptible = False
                if not self._claim(call, reply, spent):
                    await close_async_stream(reply)
                elif reply.stream is None:
                    self._send_whole(call, reply)
                else:
                    await self._stream_async(transaction, reply)
        except Exception as error:  # noqa: BLE001 - as above
            self._give_up(call, error)

    def _claim(self, call: ScoringCall, reply: Reply, spent: float) -> bool:
        """Account for an answer and become the one who sends it; False when it comes too late."""
        if not self._admission.claim(call):
            return False
        self._row.observe(Stage.QUEUE, call.queued_s)
        self._row.observe(Stage.RUN, spent)
        if reply.failure is not None:
            log_failure(reply.failure, reply.code)
        return True

    def _send_whole(self, call: ScoringCall, reply: Reply) -> None:
        # First: a client that waits for each answer must not find the place taken.
        self._admission.end(call)
        call.transaction.send(reply)

    def _give_up(self, call: ScoringCall, error: Exception) -> None:
        """Part with a request after an error of ours; the place it held must not be lost."""
        log.error("A request was given up because of an internal error", exc_info=error)
        if self._admission.claim(call):
            call.transaction.send(message_reply(500, INTERNAL_ERROR))
        elif call.state is CallState.ANSWERED:
            call.transaction.exchange.finish(complete=False)

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
        except BaseException as error:  # noqa: BLE001 - the user's generator raises anything
            self._break_off(transaction, reply, error)
        finally:
            close_stream(reply)
            transaction.exchange.finish(complete=complete)
            transaction.account(reply, "N/A")

    async def _stream_async(self, transaction: Transaction, reply: Reply) -> None:
        complete = False
        chunks: Any = reply.stream
        write = transaction.exchange.write
        loop = asyncio.get_running_loop()
        try:
            transaction.start_stream(reply)
            async for chunk in chunks:
                if chunk:
                    # A slow reader must not stop the other calls on this loop.
                    await loop.run_in_executor(None, write, chunk)
            complete = True
        except ClientGoneError:
            self._row.count_rejection(Rejection.CLIENT_GONE)
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 - as above
            self._break_off(transaction, reply, error)
        finally:
            await close_async_stream(reply)
            transaction.exchange.finish(complete=complete)
            transaction.account(reply, "N/A")

    def _break_off(self, transaction: Transaction, reply: Reply, error: BaseException) -> None:
        """Tell the log, and the client where the format has a place for it."""
        failure = self._scoring.error_reply(error).failure
        if failure is None:
            return
        log_failure(failure, HTTPStatus.INTERNAL_SERVER_ERROR)
        if self._settings.error_details != "full":
            return
        content_type = dict(reply.headers).get("Content-Type", "")
        event = error_event(content_type, failure.as_json())
        if event:
            try:
                transaction.exchange.write(event)
            except ClientGoneError:
                self._row.count_rejection(Rejection.CLIENT_GONE)

    # --- on the watchdog's thread ------------------------------------------------------------

    def overdue(self, call: ScoringCall) -> None:
        """Answer a call whose deadline has passed, and interrupt its `run()`."""
        self._answer_overdue(call, self._late_frames(call))
        self.threads.interrupt(call)

    def _late_frames(self, call: Call) -> tuple[Frame, ...]:
        frames = self.threads.frames(call)
        code = self._scoring.script.run_code
        return (frame_of_code(code),) if not frames and code is not None else frames

    def _answer_overdue(self, call: ScoringCall, frames: tuple[Frame, ...]) -> None:
        reply = self._scoring.overdue_reply(frames)
        token = current_request.set(call.transaction.labels)
        self._row.count_rejection(Rejection.DEADLINE)
        call.transaction.send(reply)
        if reply.failure is not None:
            log_failure(reply.failure, reply.code)
        current_request.reset(token)

    def stuck(self, call: Call) -> None:
        """Have this process replaced: its `run()` did not return, whatever it was told."""
        frames = self.threads.frames(call)
        grace_s = self._settings.stuck_grace
        log.critical(
            "run() is still busy %.3g s after its deadline; this worker (pid %d) is replaced%s",
            grace_s,
            os.getpid(),
            f"\n  {frames[-1]}" if frames else "",
        )
        until = time.monotonic() + grace_s
        while self._admission.running > 1 and time.monotonic() < until:
            time.sleep(0.05)
        self._on_stuck()


def log_failure(failure: Failure, status: int) -> None:
    """Log where a request failed: as an error of the script, or as a warning about the client's."""
    level = logging.ERROR if status >= HTTPStatus.INTERNAL_SERVER_ERROR else logging.WARNING
    text = "\n".join(failure.log_lines())
    extra = {"fields": {"error": failure.as_json()}}
    log.log(level, "Encountered Exception: %s", text, extra=extra)


def close_stream(reply: Reply) -> None:
    """Close a generator that will not be read further, so that its `finally` blocks run now."""
    close = getattr(reply.stream, "close", None)
    if close is not None:
        try:
            close()
        except BaseException as error:  # noqa: BLE001 - the user's clean-up raises anything
            log_failure(describe(error), HTTPStatus.INTERNAL_SERVER_ERROR)


async def close_async_stream(reply: Reply) -> None:
    """`close_stream` for a generator that is asynchronous."""
    aclose = getattr(reply.stream, "aclose", None)
    if aclose is not None:
        try:
            await aclose()
        except BaseException as error:  # noqa: BLE001 - as above
            log_failure(describe(error), HTTPStatus.INTERNAL_SERVER_ERROR)
