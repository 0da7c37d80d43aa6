"""Binding and splitting of batches, and whether and how a script is served in them."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import typing
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_server.api import AMLResponse, rawhttp
from inference_server.batching.choice import choose_batching
from inference_server.batching.scoring import BatchError, BatchScoring, split
from inference_server.binding import choose_binding
from inference_server.errors import InvalidInputError, ScriptError
from inference_server.replies import Reply
from inference_server.scripting import BatchLimits, batch
from inference_server.settings import Settings
from tests.inference_server.support import call, few, post, script_of


def batch_scoring_of(run: Callable[..., Any]) -> BatchScoring:
    """What answers batches with this function."""
    script = dataclasses.replace(script_of(run), batch=BatchLimits())
    return BatchScoring(script, choose_binding(script), Settings())


def bound(scoring: BatchScoring, *bodies: str) -> list[dict[str, Any]]:
    """The arguments of requests with these bodies."""
    arguments = [scoring.bind(post(body.encode(), **{"X-Body": body})) for body in bodies]
    assert not any(isinstance(each, Reply) for each in arguments)
    return typing.cast(list[dict[str, Any]], arguments)


def replies(run: Callable[..., Any], *bodies: str) -> list[Reply]:
    """The answers to a batch of requests with these bodies."""
    scoring = batch_scoring_of(run)
    outcome = scoring.run(scoring.merge(bound(scoring, *bodies)), call)
    return scoring.replies(outcome, [post(body.encode()) for body in bodies])


# Binding


def test_text_is_handed_over_in_a_list():
    def run(data): ...

    scoring = batch_scoring_of(run)

    assert scoring.merge(bound(scoring, "a", "b")) == {"data": ["a", "b"]}


@pytest.mark.parametrize(
    "hint", [list, list[str], list[Any], typing.List, Any, typing.Sequence[str]]  # noqa: UP006
)  # fmt: skip
def test_hints_that_text_satisfies_get_text(hint: Any):
    def run(data): ...

    run.__annotations__["data"] = hint
    scoring = batch_scoring_of(run)

    assert scoring.merge(bound(scoring, "[1]", "x")) == {"data": ["[1]", "x"]}


@pytest.mark.parametrize("hint", [list[int], typing.List[int], typing.Sequence[int]])  # noqa: UP006
def test_each_body_is_checked_against_the_hint_of_an_item(hint: Any):
    def run(data): ...

    run.__annotations__["data"] = hint
    scoring = batch_scoring_of(run)

    assert scoring.merge(bound(scoring, "1", "2")) == {"data": [1, 2]}
    refused = scoring.bind(post(b'"one"'))
    assert isinstance(refused, Reply)
    assert refused.code == 422


def test_each_parameter_has_a_list_and_defaults_fill_gaps():
    def run(a: list[int], b: list[int] = 7, request_headers=None): ...  # type: ignore[assignment]

    scoring = batch_scoring_of(run)
    one, two = '{"a": 1, "b": 2}', '{"a": 3}'

    merged = scoring.merge(bound(scoring, one, two))

    assert (merged["a"], merged["b"]) == ([1, 3], [2, 7])
    assert [headers["X-Body"] for headers in merged["request_headers"]] == [one, two]


@pytest.mark.parametrize(
    ("hint", "shown"),
    [(dict, "dict"), (dict[str, int], "dict[str, int]"), (int | None, "int | None")],
)
def test_a_hint_that_is_no_list_ends_the_start(hint: Any, shown: str):
    def run(data): ...

    run.__annotations__["data"] = hint

    with pytest.raises(ScriptError) as caught:
        batch_scoring_of(run)

    assert f"its type hint is `{shown}`" in str(caught.value)
    assert caught.value.hint is not None
    assert f"data: list[{shown}]" in caught.value.hint
    assert caught.value.location is not None
    assert caught.value.location.endswith(f":{run.__code__.co_firstlineno}")


def test_the_documents_describe_one_request_and_one_answer():
    def run(data: list[int]) -> list[str]:
        return [str(number) for number in data]

    schemas = batch_scoring_of(run).binding.schemas

    assert (schemas.input["type"], schemas.output["type"]) == ("integer", "string")


# Splitting


@pytest.mark.parametrize(
    "result",
    [
        [1, 2, 3],
        (1, 2, 3),
        np.array([1, 2, 3]),
        pd.Series([1, 2, 3], index=[5, 1, 3]),
        range(1, 4),
    ],
    ids=lambda result: type(result).__name__,
)
def test_sequences_are_split_into_their_items(result: Any):
    assert split(result, 3) == [1, 2, 3]


def test_an_array_is_split_into_rows_and_a_frame_into_records():
    assert [row.tolist() for row in split(np.array([[1, 2], [3, 4]]), 2)] == [[1, 2], [3, 4]]
    assert split(pd.DataFrame({"a": [1, 2], "b": [3, 4]}), 2) == [
        {"a": 1, "b": 3},
        {"a": 2, "b": 4},
    ]


@few
@given(st.lists(st.integers(), max_size=6), st.integers(1, 6))
def test_a_list_of_another_length_is_refused_with_both_lengths(result: list[int], count: int):
    if len(result) == count:
        assert split(result, count) == result
        return

    with pytest.raises(BatchError, match=f"batch of {count} and returned {len(result)} answer"):
        split(result, count)


@pytest.mark.parametrize(
    "result",
    ["abc", b"abc", {1: 2, 3: 4, 5: 6}, {1, 2, 3}, None, 3, np.array(3), (n for n in range(3))],
    ids=lambda result: type(result).__name__,
)
def test_what_is_no_sequence_is_refused_with_its_type(result: Any):
    with pytest.raises(BatchError, match=f"returned an object of type `{type(result).__name__}`"):
        split(result, 3)


def test_a_coroutine_that_nothing_awaits_is_refused():
    async def answer(): ...

    replied = replies(lambda data: answer(), "a")

    assert (replied[0].code, replied[0].failure is not None) == (500, True)


# Answers


def test_items_are_encoded_as_answers_alone_would_be():
    def run(data):
        return [None, np.float64(2), AMLResponse("text", 418), ValueError("bad"), {1, 2}]

    answers = replies(run, *"abcde")

    assert [answer.code for answer in answers] == [200, 200, 418, 500, 200]
    assert [answer.body for answer in answers[:3]] == [b"{}", b"2.0", b"text"]
    assert json.loads(answers[3].body)["error"]["message"] == "bad"
    times = {dict(answer.headers)["x-ms-run-fn-exec-ms"] for answer in answers[:3]}
    assert len(times) == 1


def test_an_error_of_the_api_keeps_its_status():
    answers = replies(lambda data: [InvalidInputError("no", path="$.a"), 1], "a", "b")

    assert [answer.code for answer in answers] == [422, 200]


def test_a_response_with_an_iterable_body_is_sent_whole():
    (answer,) = replies(lambda data: [AMLResponse(iter(["a", "b"]), 200)], "x")

    assert (answer.body, answer.stream) == (b"ab", None)
    assert dict(answer.headers)["Content-Length"] == "2"


@pytest.mark.parametrize("stream", [iter([1]), (n for n in [1])])
def test_an_item_that_would_be_streamed_is_refused(stream: Any):
    answers = replies(lambda data: [1, stream], "a", "b")

    assert [answer.code for answer in answers] == [200, 500]
    assert "cannot be a stream" in answers[1].body.decode()


def test_a_run_that_raises_gives_its_error_to_all():
    def run(data):
        raise KeyError("data")

    scoring = batch_scoring_of(run)

    outcome = scoring.run(scoring.merge(bound(scoring, "a", "b")), call)

    assert isinstance(outcome.error, KeyError)
    assert not outcome.is_refusal
    codes = [reply.code for reply in scoring.replies(outcome, [post(b""), post(b"")])]
    assert codes == [500, 500]


def test_a_coroutine_function_is_awaited():
    async def run(data):
        await asyncio.sleep(0)
        return [len(data)] * len(data)

    async def fails(data):
        raise KeyError

    scoring, failing = batch_scoring_of(run), batch_scoring_of(fails)

    assert asyncio.run(scoring.run_async({"data": ["a", "b"]})).result == [2, 2]
    assert isinstance(asyncio.run(failing.run_async({"data": ["a"]})).error, KeyError)


# The choice


def plain(data): ...


@batch(max_size=8, max_wait_ms=5)
def marked(data): ...


@pytest.mark.parametrize(
    ("run", "settings", "limits"),
    [
        (plain, Settings(), None),
        (plain, Settings(batch_max_size=1), None),
        (plain, Settings(batch_max_wait_ms=3), None),
        (plain, Settings(batch_max_size=4), BatchLimits(4, 10)),
        (plain, Settings(batch_max_size=4, batch_max_wait_ms=0), BatchLimits(4, 0)),
        (marked, Settings(), BatchLimits(8, 5)),
        (marked, Settings(batch_max_size=1), BatchLimits(1, 5)),
        (marked, Settings(batch_max_size=32, batch_max_wait_ms=1), BatchLimits(32, 1)),
    ],
)
def test_options_come_before_the_decorator(
    run: Callable[..., Any], settings: Settings, limits: BatchLimits | None
):
    assert choose_batching(script_of(run), settings) == limits


def generator(data):
    yield


async def asynchronous_generator(data):
    yield


@pytest.mark.parametrize("run", [generator, asynchronous_generator])
def test_streams_cannot_be_batched(run: Callable[..., Any]):
    with pytest.raises(ScriptError, match="it streams its answer"):
        choose_batching(script_of(run), Settings(batch_max_size=2))


def test_a_raw_request_cannot_be_batched():
    with pytest.raises(ScriptError, match="@rawhttp") as caught:
        choose_batching(script_of(rawhttp(batch(lambda request: None)), is_raw=True), Settings())

    assert caught.value.hint == "remove @batch"


def test_lengths_are_told_apart_by_number():
    messages: Sequence[str] = [_message([1]), _message([1, 2])]

    assert [message.rpartition(" ")[2] for message in messages] == ["answer", "answers"]


def _message(result: list[int]) -> str:
    with pytest.raises(BatchError) as caught:
        split(result, 3)
    return str(caught.value)
