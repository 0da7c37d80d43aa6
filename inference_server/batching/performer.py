"""Takes batches out of admission, has them scored, and gives each request exactly one answer.

A batch that fails as a whole is taken apart: each of its requests is tried again alone, so that
only those fail that fail alone. All of it counts against the one deadline of the batch.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from inference_server.admission import Admission, Batch, CallState
from inference_server.batching.answers import AnswerThread
from inference_server.batching.flask_context import no_single_request
from inference_server.batching.inbox import AsyncBatchInbox, BatchInbox, Gathering
from inference_server.batching.policy import BatchPolicy
from inference_server.batching.scoring import Arguments, BatchScoring, Outcome
from inference_server.failures import describe
from inference_server.performer import Performer, ScoringCall
from inference_server.replies import INTERNAL_ERROR, Reply, message_reply
from inference_server.request_context import current_request
from inference_server.scoring_threads import AsyncScoringThread, SyncScoringThreads

log = logging.getLogger("azmlinfsrv")

ScoringBatch = Batch[ScoringCall]


class BatchPlaces:
    """Admission as scoring threads see it when the calls they take are batches."""

    def __init__(self, admission: Admission[ScoringCall]) -> None:
        self.places = admission.places
        self.begin = admission.begin_batch
        self.end = admission.end


class _Bound:
    """A request with its arguments."""

    __slots__ = ("arguments", "call")

    def __init__(self, call: ScoringCall, arguments: Arguments) -> None:
        self.call = call
        self.arguments = arguments


class BatchPerformer(Performer):
    """A `Performer` whose script takes several requests in one call of `run()`."""

    _scoring: BatchScoring
    _gathering: Gathering[ScoringCall]
    _answers: AnswerThread

    def _make_threads(
        self, loop: asyncio.AbstractEventLoop | None, when_idle: Callable[[], None]
    ) -> SyncScoringThreads[Any] | AsyncScoringThread[Any]:
        admission, limits = self._admission, self._scoring.script.batch
        if limits is None:
            raise RuntimeError("the script is not served in batches")
        self._answers = AnswerThread()
        admission.widen_places(limits.max_size)
        policy = BatchPolicy(limits.max_size, limits.max_wait_ms / 1000, admission.deadline_s)
        places = BatchPlaces(admission)
        threads: SyncScoringThreads[ScoringBatch] | AsyncScoringThread[ScoringBatch]
        if loop is not None:
            async_inbox: AsyncBatchInbox[ScoringCall] = AsyncBatchInbox(policy, loop)
            self._gathering = async_inbox.gathering
            threads = AsyncScoringThread(places, async_inbox, self._perform_batch_async, loop)
        else:
            inbox: BatchInbox[ScoringCall] = BatchInbox(policy)
            self._gathering = inbox.gathering
            threads = SyncScoringThreads(places, inbox, self._perform_batch, when_idle)
        admission.deliver_to(self._gathering.put)
        return threads

    # --- on scoring threads ------------------------------------------------------------------

    def _perform_batch(self, batch: ScoringBatch, guard: Callable[..., Any]) -> None:
        try:
            groups = deque(self._bind(batch))
            while groups and batch.state is CallState.RUNNING:
                group = groups.popleft()
                with self._surroundings(group):
                    outcome = self._scoring.run(self._merge(group), guard)
                groups.extend(self._settle(batch, group, outcome, is_last=not groups))
        except Exception as error:  # noqa: BLE001 - ours; logged there
            self._give_up_calls(batch.calls, error)

    async def _perform_batch_async(self, batch: ScoringBatch) -> None:
        try:
            groups = deque(self._bind(batch))
            while groups and batch.state is CallState.RUNNING:
                group = groups.popleft()
                with self._surroundings(group):
                    batch.interruptible = True
                    outcome = await self._scoring.run_async(self._merge(group))
                    batch.interruptible = False
                groups.extend(self._settle(batch, group, outcome, is_last=not groups))
        except Exception as error:  # noqa: BLE001 - as above
            self._give_up_calls(batch.calls, error)

    def _bind(self, batch: ScoringBatch) -> Iterator[list[_Bound]]:
        """One group of all requests that have arguments; the others are answered."""
        group: list[_Bound] = []
        for call in batch.calls:
            token = current_request.set(call.transaction.labels)
            arguments = self._scoring.bind(call.request)
            current_request.reset(token)
            if isinstance(arguments, Reply):
                self._answer(call, arguments, 0.0)
            else:
                group.append(_Bound(call, arguments))
        if group:
            yield group

    def _merge(self, group: Sequence[_Bound]) -> Arguments:
        self._row.observe_batch(len(group))
        return self._scoring.merge([bound.arguments for bound in group])

    @contextmanager
    def _surroundings(self, group: Sequence[_Bound]) -> Iterator[None]:
        """Log lines belong to the request if there is but one; Flask's `request` to none."""
        labels = group[0].call.transaction.labels if len(group) == 1 else None
        token = current_request.set(labels)
        try:
            with no_single_request(self._app):
                yield
        finally:
            current_request.reset(token)

    def _settle(
        self, batch: ScoringBatch, group: Sequence[_Bound], outcome: Outcome, *, is_last: bool
    ) -> list[list[_Bound]]:
        """Answer a group, or say in which smaller ones it should be tried again."""
        if outcome.error is None or batch.state is CallState.OVERDUE:
            self._gathering.learn_cost(len(group), outcome.seconds)
        if outcome.error is not None and len(group) > 1:
            if batch.state is CallState.RUNNING and not outcome.is_refusal:
                summary = describe(outcome.error).summary
                log.warning(
                    "run() failed on a batch of %d requests; each is tried again alone: %s",
                    len(group),
                    summary,
                )
            return [[bound] for bound in group]
        calls = [bound.call for bound in group]
        replies = self._scoring.replies(outcome, [call.request for call in calls])
        if is_last:
            if not self._admission.claim(batch):
                return []
            # First: a client that waits for each answer must not find the place taken.
            self._admission.end(batch)
        self._answers.note_run(outcome.seconds, outcome.computed_s)
        if is_last and self._answers.is_worth_it and self._gathering.is_full:
            self._answers.send(partial(self._answer_all, calls, replies, outcome.seconds))
        else:
            self._answer_all(calls, replies, outcome.seconds)
        return []

    def _answer_all(
        self, calls: Sequence[ScoringCall], replies: Sequence[Reply], spent: float
    ) -> None:
        try:
            for call, reply in zip(calls, replies, strict=True):
                self._answer(call, reply, spent)
        except Exception as error:  # noqa: BLE001 - ours; logged there
            self._give_up_calls(calls, error)

    def _answer(self, call: ScoringCall, reply: Reply, spent: float) -> None:
        token = current_request.set(call.transaction.labels)
        try:
            if self._claim(call, reply, spent):
                call.transaction.send(reply)
        finally:
            current_request.reset(token)

    def _give_up_calls(self, calls: Sequence[ScoringCall], error: Exception) -> None:
        log.error("A batch was given up because of an internal error", exc_info=error)
        for call in calls:
            if self._admission.claim(call):
                call.transaction.send(message_reply(500, INTERNAL_ERROR))

    # --- on the watchdog's thread ------------------------------------------------------------

    def overdue(self, call: Any) -> None:
        """Answer the requests of a batch whose deadline has passed, and interrupt its `run()`."""
        batch: ScoringBatch = call
        frames = self._late_frames(batch)
        for request in self._admission.expire(batch):
            self._answer_overdue(request, frames)
        self.threads.interrupt(batch)
