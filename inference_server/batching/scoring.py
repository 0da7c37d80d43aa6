"""A batch from its requests' bodies to their answers: bind each, run once, split, encode each."""

from __future__ import annotations

import inspect
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence, Set
from typing import Any, NamedTuple

from inference_server.binding import Binding, SchemaBinding, ScoringInput
from inference_server.errors import RequestError
from inference_server.failures import describe
from inference_server.inference_schema_support import OneByOne
from inference_server.replies import SCRIPT_ERROR, Reply
from inference_server.scoring import InvalidResponseError, Scoring
from inference_server.scoring_script import REQUEST_HEADERS, ScoringScript
from inference_server.settings import Settings

Arguments = dict[str, Any]


class Outcome(NamedTuple):
    """What one call of `run()` came to.

    Attributes:
        result: What it returned.
        error: What it raised.
        seconds: How long it took.
        computed_s: How long its thread computed meanwhile.
    """

    result: Any
    error: BaseException | None
    seconds: float
    computed_s: float

    @property
    def is_refusal(self) -> bool:
        """The script's decorators refused the input of some request."""
        return isinstance(self.error, RequestError)


class BatchError(TypeError):
    """What `run()` returned for a batch is not one answer for each request."""


class BatchScoring(Scoring):
    """Answers batches with one loaded script."""

    def __init__(self, script: ScoringScript, binding: Binding, settings: Settings) -> None:
        super().__init__(script, binding, settings)
        self._list: type[list[Any]] = OneByOne if isinstance(binding, SchemaBinding) else list
        self._defaults = {p.name: p.default for p in script.parameters}
        if script.takes_headers:
            self._defaults[REQUEST_HEADERS] = None

    def _invoke(self, arguments: Arguments) -> Any:
        # Without the first item of a stream: there is none here.
        return self._run(**arguments)

    def bind(self, request: ScoringInput) -> Arguments | Reply:
        """The arguments of one request, or the answer to one that has none."""
        try:
            return self.binding.arguments(request)
        except BaseException as error:  # noqa: BLE001 - the hints' own classes can raise anything
            return self.error_reply(error)

    def merge(self, bound: Sequence[Arguments]) -> Arguments:
        """The arguments of one call: a list for each parameter, with one item for each request."""
        return {
            name: self._list(arguments.get(name, default) for arguments in bound)
            for name, default in self._defaults.items()
        }

    def run(self, arguments: Arguments, call: Callable[..., Any]) -> Outcome:
        """Call `run()` with merged arguments; `call` is the caller's place for deadlines."""
        ended = _timer()
        try:
            result = call(self._invoke, arguments)
        except BaseException as error:  # noqa: BLE001 - user code can raise anything
            return Outcome(None, error, *ended())
        return Outcome(result, None, *ended())

    async def run_async(self, arguments: Arguments) -> Outcome:
        """`run` for a coroutine function."""
        ended = _timer()
        try:
            result = self._run(**arguments)
            if inspect.isawaitable(result):
                result = await result
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 - as above
            return Outcome(None, error, *ended())
        return Outcome(result, None, *ended())

    def replies(self, outcome: Outcome, requests: Sequence[ScoringInput]) -> list[Reply]:
        """The answer to each request of a batch whose `run()` has ended."""
        if outcome.error is not None:
            return [self.error_reply(outcome.error) for _ in requests]
        try:
            items = split(outcome.result, len(requests))
        except BaseException as error:  # noqa: BLE001 - the result's own methods can raise anything
            return [self._misfit_reply(error) for _ in requests]
        return [
            self._item_reply(item, request, outcome.seconds)
            for item, request in zip(items, requests, strict=True)
        ]

    def _item_reply(self, item: Any, request: ScoringInput, seconds: float) -> Reply:
        if isinstance(item, BaseException):
            return self.error_reply(item)
        try:
            if isinstance(item, Iterator | AsyncIterator):
                raise InvalidResponseError(
                    "run() is called with batches, so an answer cannot be a stream: return its "
                    "items as a list"
                )
            reply = self.reply(item, request, seconds)
            if reply.stream is not None:
                # The other requests of the batch should not wait for its reader.
                chunks: Any = reply.stream
                reply.body, reply.stream = b"".join(chunks), None
                headers = [(n, v) for n, v in reply.headers if n.lower() != "content-length"]
                reply.headers = [*headers, ("Content-Length", str(len(reply.body)))]
        except BaseException as error:  # noqa: BLE001 - as above
            return self.error_reply(error)
        return reply

    def _misfit_reply(self, error: BaseException) -> Reply:
        hint = (
            "run() is called with batches: it takes a list and returns a list, one item for each "
            "request"
        )
        failure = describe(error, fallback=self.script.run_code, hint=hint)
        return self._failed(500, SCRIPT_ERROR, failure)


def _timer() -> Callable[[], tuple[float, float]]:
    """Gives the seconds since now, and those that this thread has computed."""
    started, computed_s = time.perf_counter(), time.thread_time()
    return lambda: (time.perf_counter() - started, time.thread_time() - computed_s)


def split(result: Any, count: int) -> list[Any]:
    """The answers in what `run()` returned for so many requests.

    Lists, tuples, numpy arrays (by their first axis), pandas's series, and frames (by row).

    Raises:
        BatchError: There are more or fewer, or it is not a sequence.
    """
    if type(result).__name__ == "DataFrame" and hasattr(result, "to_dict"):
        result = result.to_dict(orient="records")
    try:
        if isinstance(result, str | bytes | bytearray | memoryview | Mapping | Set):
            raise TypeError
        length, items = len(result), list(result)
    except TypeError:
        if inspect.iscoroutine(result) or inspect.isgenerator(result):
            result.close()
        raise BatchError(
            f"run() received a batch of {count} and returned an object of type "
            f"`{type(result).__name__}`, not a list of {count}"
        ) from None
    if length != count or len(items) != count:
        raise BatchError(
            f"run() received a batch of {count} and returned {length} "
            f"answer{'' if length == 1 else 's'}"
        )
    return items
