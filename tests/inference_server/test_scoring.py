"""From a request to its answer: whatever run() returns or raises, the answer is well-formed."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

import flask
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_server.api.aml_response import AMLResponse
from inference_server.errors import InvalidInputError, QueueFullError, ServerError
from inference_server.failures import Frame, display_path
from inference_server.replies import INTERNAL_ERROR, SCRIPT_ERROR, Reply
from inference_server.scoring import InvalidResponseError, OverdueError, Scoring
from inference_server.settings import Settings
from tests.inference_server.support import call, few, post, scoring_of

REQUEST = post(b"input")
NO_DETAILS = Settings(error_details="none")
COMPAT = Settings(error_details="none", nan="literal", compat=True)
HERE = display_path(__file__)


def returning(value: Any, settings: Settings | None = None) -> Scoring:
    def run(data):
        return value

    return scoring_of(run, settings)


def raising(error: BaseException, settings: Settings | None = None) -> Scoring:
    def run(data):
        raise error

    return scoring_of(run, settings)


def answer(scoring: Scoring, request: Any = REQUEST) -> Reply:
    return scoring.answer(request, call)[0]


def answer_async(run: Any, settings: Settings | None = None) -> tuple[Reply, bytes]:
    """The answer of a coroutine function, and all of its body."""

    async def main() -> tuple[Reply, bytes]:
        reply, _ = await scoring_of(run, settings).answer_async(REQUEST)
        stream: Any = reply.stream
        body = reply.body if stream is None else b"".join([chunk async for chunk in stream])
        return reply, body

    return asyncio.run(main())


def body_of(reply: Reply) -> bytes:
    if reply.stream is None:
        return reply.body
    assert isinstance(reply.stream, Iterator)
    return b"".join(reply.stream)


def without_time(reply: Reply) -> list[tuple[str, str]]:
    return [(name, value) for name, value in reply.headers if name != "x-ms-run-fn-exec-ms"]


def assert_well_formed(reply: Reply) -> None:
    """Require what RFC 9112 requires of a status line and header fields."""
    assert re.fullmatch(r"[2-9]\d\d [\t\x20-\x7e\x80-\xff]*", reply.status)
    for name, value in reply.headers:
        assert re.fullmatch(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", name)
        assert re.fullmatch(r"[\t\x20-\x7e\x80-\xff]*", value)
    lengths = [value for name, value in reply.headers if name.lower() == "content-length"]
    if reply.stream is None and reply.code not in (204, 304):
        assert lengths == [str(len(reply.body))]
    assert isinstance(reply.body, bytes)


@pytest.mark.parametrize(
    ("value", "body"),
    [
        pytest.param(None, b"{}", id="none"),
        pytest.param("text", b'"text"', id="text"),
        pytest.param({"u": "h\u00e9"}, b'{"u": "h\\u00e9"}', id="dict"),
        pytest.param(({"a": 1}, 201), b'[{"a": 1}, 201]', id="tuple"),
        pytest.param(math.nan, b"null", id="nan"),
        pytest.param(np.array([1]), b"[1]", id="array"),
    ],
)
def test_a_value_is_answered_as_json(value: Any, body: bytes):
    reply = answer(returning(value))

    assert (reply.status, reply.body, reply.failure) == ("200 OK", body, None)
    assert without_time(reply) == [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("x-ms-run-function-failed", "False"),
    ]


def test_nan_is_written_as_configured():
    assert answer(returning(math.nan, Settings(nan="literal"))).body == b"NaN"


def test_the_time_spent_in_run_is_told_with_three_decimals():
    reply, spent = returning(1).answer(REQUEST, call)

    assert dict(reply.headers)["x-ms-run-fn-exec-ms"] == f"{spent * 1000:.3f}"
    assert spent > 0


def test_an_error_says_where_it_was_raised():
    reply = answer(raising(ValueError("no")))

    line = raising.__code__.co_firstlineno + 2
    body = json.loads(reply.body)
    assert (reply.status, dict(reply.headers)["x-ms-run-function-failed"]) == (
        "500 INTERNAL SERVER ERROR",
        "True",
    )
    assert body["message"] == SCRIPT_ERROR
    assert {key: body["error"][key] for key in ("type", "message", "file", "line", "function")} == {
        "type": "ValueError",
        "message": "no",
        "file": HERE,
        "line": line,
        "function": "run",
    }
    assert reply.failure is not None
    assert not reply.has("x-ms-run-fn-exec-ms")


def test_without_details_the_body_is_the_references():
    reply = answer(raising(ValueError("secret"), NO_DETAILS))

    assert json.loads(reply.body) == {"message": SCRIPT_ERROR}
    assert reply.failure is not None
    assert reply.failure.message == "secret"


class BaseError(BaseException):
    pass


ERRORS = [
    ValueError("x"),
    KeyError(),
    SystemExit(5),
    KeyboardInterrupt(),
    GeneratorExit(),
    asyncio.CancelledError(),
    BaseError("x"),
    StopIteration(1),
    RecursionError(),
    MemoryError(),
    ConnectionResetError(),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "why"),
    SyntaxError("x", ("f.py", 1, 1, "text")),
    ServerError("x"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_whatever_run_raises_is_answered_with_500(error: BaseException):
    reply = answer(raising(error))

    assert (reply.code, json.loads(reply.body)["message"]) == (500, SCRIPT_ERROR)
    assert json.loads(reply.body)["error"]["type"] == type(error).__name__
    assert_well_formed(reply)


def test_the_users_own_timeout_is_an_error_of_the_script():
    body = json.loads(answer(raising(TimeoutError("database"))).body)

    assert (body["message"], body["error"]["message"]) == (SCRIPT_ERROR, "database")


def test_in_compatibility_mode_the_users_own_timeout_counts_as_the_deadline():
    reply = answer(raising(TimeoutError("database"), COMPAT))

    assert (reply.code, json.loads(reply.body)) == (
        500,
        {"message": "Scoring timeout after 3600000 ms"},
    )


@pytest.mark.parametrize(
    ("settings", "status", "keys"),
    [
        pytest.param(
            Settings(scoring_timeout_ms=500), "504 GATEWAY TIMEOUT", {"message", "error"}, id="ours"
        ),
        pytest.param(
            Settings(scoring_timeout_ms=500, error_details="none", compat=True),
            "500 INTERNAL SERVER ERROR",
            {"message"},
            id="compatible",
        ),
    ],
)
def test_a_passed_deadline_is_told(settings: Settings, status: str, keys: set[str]):
    scoring = raising(OverdueError(), settings)

    for reply in (answer(scoring), scoring.overdue_reply((Frame("s.py", 1, "run", "wait()"),))):
        assert (reply.status, dict(reply.headers)["x-ms-run-function-failed"]) == (status, "True")
        body = json.loads(reply.body)
        assert (body["message"], body.keys()) == ("Scoring timeout after 500 ms", keys)


def test_the_place_at_the_deadline_is_told():
    reply = returning(1).overdue_reply((Frame("s.py", 1, "run", "wait()"),))

    assert json.loads(reply.body)["error"] == {
        "type": "ScoringTimeout",
        "message": "Scoring timeout after 3600000 ms; run() was still busy",
        "file": "s.py",
        "line": 1,
        "function": "run",
        "source": "wait()",
        "traceback": ["s.py:1 in run: wait()"],
        "hint": "raise --scoring_timeout_ms (SCORING_TIMEOUT_MS), or make run() faster",
    }


def test_a_deadline_of_the_worker_is_told_as_such():
    scoring = returning(1, Settings(worker_timeout=2, worker_timeout_was_set=True))

    assert json.loads(scoring.overdue_reply(()).body)["message"] == "Scoring timeout after 2000 ms"


def test_without_a_deadline_the_message_says_zero():
    scoring = raising(TimeoutError(), Settings(scoring_timeout_ms=0, compat=True))

    assert json.loads(answer(scoring).body)["message"] == "Scoring timeout after 0 ms"


@pytest.mark.parametrize(
    ("settings", "failed"), [(Settings(), "True"), (COMPAT, "False")], ids=["ours", "compatible"]
)
def test_a_value_without_a_json_form_is_an_error_with_its_place(settings: Settings, failed: str):
    reply = answer(returning({"a": [object()]}, settings))

    assert (reply.code, json.loads(reply.body)["message"]) == (500, INTERNAL_ERROR)
    assert dict(reply.headers)["x-ms-run-function-failed"] == failed
    assert reply.failure is not None
    assert (reply.failure.path, reply.failure.frames[-1].function) == ("$.a[0]", "run")


def test_input_that_does_not_fit_is_refused_with_its_place():
    def run(x: list[int]):
        return x

    reply = answer(scoring_of(run), post(b'{"x": [1, "a"]}'))

    body = json.loads(reply.body)
    assert (reply.status, body["message"]) == (
        "422 UNPROCESSABLE ENTITY",
        "Expected `int`, got `str`",
    )
    assert (body["error"]["type"], body["error"]["path"]) == ("ValidationError", "$.x[1]")
    assert body["error"]["function"] == "run"
    assert dict(reply.headers)["x-ms-run-function-failed"] == "False"


def test_in_compatibility_mode_input_that_does_not_fit_is_an_error_of_the_script():
    reply = answer(raising(InvalidInputError("no", path="$"), COMPAT))

    assert (reply.code, json.loads(reply.body)) == (500, {"message": SCRIPT_ERROR})


def test_a_request_that_cannot_be_read_is_refused_without_running():
    reply = answer(returning(1), post(b"\xff"))

    assert reply.code == 400
    assert json.loads(reply.body).keys() == {"message"}
    assert (reply.failure, reply.has("x-ms-run-fn-exec-ms")) == (None, False)


def test_any_refusal_keeps_its_status():
    assert answer(raising(QueueFullError(3))).code == 429


# --- responses of the script's own ---------------------------------------------------------------


def test_a_response_is_sent_as_it_is():
    reply = answer(returning(AMLResponse("b\u00f6dy", 202, {"X-One": "1"})))

    assert (reply.status, reply.body, reply.from_script) == (
        "202 ACCEPTED",
        "b\u00f6dy".encode(),
        True,
    )
    assert without_time(reply) == [
        ("Content-Length", "5"),
        ("Content-Type", "text/html; charset=utf-8"),
        ("x-ms-run-function-failed", "False"),
        ("X-One", "1"),
    ]


@pytest.mark.parametrize(
    ("status", "line"),
    [
        pytest.param(404, "404 NOT FOUND", id="number"),
        pytest.param("404 Not Here", "404 Not Here", id="text"),
        pytest.param(555, "555 UNKNOWN", id="unknown"),
        pytest.param("299", "299 UNKNOWN", id="number as text"),
        pytest.param("404 ", "404 NOT FOUND", id="empty reason"),
        pytest.param(999, "999 UNKNOWN", id="the last one"),
    ],
)
def test_the_status_of_a_response_is_sent(status: Any, line: str):
    assert answer(returning(AMLResponse("", status))).status == line


@pytest.mark.parametrize(
    ("response", "message"),
    [
        pytest.param(
            AMLResponse("", 99), "status must be from 200 to 999, not 99", id="status too low"
        ),
        pytest.param(
            AMLResponse("", 100), "status must be from 200 to 999, not 100", id="no final status"
        ),
        pytest.param(
            AMLResponse("", 1000), "status must be from 200 to 999, not 1000", id="status too high"
        ),
        pytest.param(
            AMLResponse("", "no number"), "status must be from 200 to 999, not 0", id="no status"
        ),
        pytest.param(
            AMLResponse("", "200 \u20ac"),
            "the reason phrase cannot be sent: '\u20ac'",
            id="reason that is not Latin-1",
        ),
        pytest.param(
            AMLResponse("", "200 a\r\nX: y"),
            "the reason phrase cannot be sent: 'a\\r\\nX: y'",
            id="reason with a line break",
        ),
        pytest.param(
            AMLResponse("", 200, {"X-Euro": "\u20ac"}),
            "header 'X-Euro' has characters that HTTP cannot carry: '\u20ac'",
            id="value that is not Latin-1",
        ),
        pytest.param(
            AMLResponse("", 200, {"a b": "c"}),
            "'a b' cannot be the name of a header",
            id="name with a blank",
        ),
        pytest.param(
            AMLResponse("", 200, {"a:\r\nb": "c"}),
            "'a:\\r\\nb' cannot be the name of a header",
            id="name with a line break",
        ),
        pytest.param(
            AMLResponse("", 200, {"a": "\x00"}),
            "header 'a' has characters that HTTP cannot carry: '\\x00'",
            id="value with a null byte",
        ),
        pytest.param(
            AMLResponse(5, 200),
            "the body of a response must be str, bytes or an iterable of those: 'int' object is "
            "not iterable",
            id="number for a body",
        ),
        pytest.param(
            AMLResponse([5], 200),
            "the body of a response must be str, bytes or an iterable of those: object of type "
            "'int' has no len()",
            id="list of numbers for a body",
        ),
    ],
)
def test_a_response_that_cannot_be_sent_is_an_error(response: flask.Response, message: str):
    reply = answer(returning(response))

    assert (reply.code, json.loads(reply.body)["message"]) == (500, INTERNAL_ERROR)
    assert json.loads(reply.body)["error"]["type"] == InvalidResponseError.__name__
    assert json.loads(reply.body)["error"]["message"] == message
    assert dict(reply.headers)["x-ms-run-function-failed"] == "True"


def test_a_plain_response_says_nothing_about_the_run():
    reply = answer(returning(flask.Response("x", 404)))

    assert not reply.has("x-ms-run-function-failed")


@pytest.mark.parametrize("response", [flask.Response("x", 503), AMLResponse("x", 503)])
def test_a_response_from_500_on_counts_as_failed(response: flask.Response):
    reply = answer(returning(response))

    assert [value for name, value in reply.headers if name == "x-ms-run-function-failed"] == [
        "True"
    ]


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_content_has_no_length(status: int):
    reply = answer(returning(AMLResponse("ignored", status)))

    assert (reply.body, reply.has("content-length")) == (b"", False)


def test_a_wrong_length_of_a_whole_body_is_put_right():
    reply = answer(returning(AMLResponse("abc", 200, {"content-length": "7"})))

    assert [v for n, v in reply.headers if n.lower() == "content-length"] == ["3"]


@pytest.mark.parametrize(
    ("lengths", "sent"),
    [
        pytest.param(["2"], ["2"], id="one"),
        pytest.param(["2", "3"], [], id="two"),
        pytest.param(["many"], [], id="no number"),
        pytest.param(["\u00b2"], [], id="a digit of its own kind"),
    ],
)
def test_only_a_sound_length_of_a_stream_is_sent(lengths: list[str], sent: list[str]):
    response = AMLResponse(iter(["a", "b"]), 200)
    for length in lengths:
        response.headers.add("Content-Length", length)

    reply = answer(returning(response))

    assert [v for n, v in reply.headers if n.lower() == "content-length"] == sent
    assert body_of(reply) == b"ab"


def test_a_time_that_the_script_tells_itself_is_left_alone():
    reply = answer(returning(AMLResponse("", 200, {"X-MS-Run-Fn-Exec-Ms": "7"})))

    assert [v for n, v in reply.headers if n.lower() == "x-ms-run-fn-exec-ms"] == ["7"]


def test_a_streamed_response_is_made_of_bytes():
    closed: list[str] = []

    def chunks() -> Iterator[Any]:
        try:
            yield from ("t\u00e9xt", b"\xff", bytearray(b"ba"), memoryview(b"mv"), 5)
        finally:
            closed.append("closed")

    reply = answer(returning(AMLResponse(chunks(), 200)))

    assert reply.stream is not None
    assert body_of(reply) == "t\u00e9xt".encode() + b"\xffbamv5"
    assert closed == ["closed"]


def test_a_head_request_gets_no_body():
    request = post(b"")
    request.environ["REQUEST_METHOD"] = "HEAD"

    reply = answer(returning(AMLResponse("abc", 200)), request)

    assert (reply.body, dict(reply.headers)["Content-Length"]) == (b"", "3")


def failing_stream() -> Iterator[str]:
    raise TypeError("the user's own")
    yield "never"


def test_what_a_streamed_response_raises_first_is_an_error_of_the_script():
    reply = answer(returning(AMLResponse(failing_stream(), 200)))

    assert (reply.code, json.loads(reply.body)["message"]) == (500, SCRIPT_ERROR)
    assert json.loads(reply.body)["error"]["function"] == "failing_stream"


# --- generators ----------------------------------------------------------------------------------


def test_a_generator_is_streamed():
    def run(data):
        yield {"a": 1}
        yield [2]

    reply = answer(scoring_of(run))

    assert (reply.code, reply.from_script) == (200, False)
    assert dict(reply.headers)["Content-Type"] == "application/x-ndjson"
    assert reply.has("x-ms-run-fn-exec-ms")
    assert body_of(reply) == b'{"a": 1}\n[2]\n'


def test_a_generator_that_raises_first_is_an_error():
    def run(data):
        raise ValueError("early")
        yield 1

    assert answer(scoring_of(run)).code == 500


def test_a_generator_whose_first_item_has_no_json_form_is_an_error():
    def run(data):
        yield object()

    assert answer(scoring_of(run)).code == 500


# --- asynchronous run ----------------------------------------------------------------------------


def test_a_coroutine_function_is_awaited():
    async def run(data):
        await asyncio.sleep(0)
        return data

    assert answer_async(run)[1] == b'"input"'


@pytest.mark.parametrize("kind", ["generator", "returned generator", "ordinary", "response"])
def test_every_kind_of_stream_comes_from_a_coroutine_function(kind: str):
    async def items() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    async def returns_asynchronous(data):
        return items()

    async def returns_ordinary(data):
        return iter(["a", "b"])

    async def returns_response(data):
        return AMLResponse((part for part in ["a", "b"]), 200)

    runs = {
        "generator": lambda data: items(),
        "returned generator": returns_asynchronous,
        "ordinary": returns_ordinary,
        "response": returns_response,
    }

    reply, body = answer_async(runs[kind])

    assert (reply.code, body) == (200, b"ab")
    assert isinstance(reply.stream, AsyncIterator)


@pytest.mark.parametrize(
    "error",
    [error for error in ERRORS if not isinstance(error, GeneratorExit | StopIteration)],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_coroutine_function_raises_is_answered_with_500(error: BaseException):
    async def run(data):
        raise error

    if isinstance(error, KeyboardInterrupt | SystemExit):
        coroutine = scoring_of(run).answer_async(REQUEST)
        with pytest.raises(StopIteration) as caught:
            coroutine.send(None)
        reply = caught.value.value[0]
    else:
        reply = answer_async(run)[0]

    assert (reply.code, json.loads(reply.body)["message"]) == (500, SCRIPT_ERROR)


def test_a_coroutine_that_is_thrown_away_is_closed():
    class Pause:
        def __await__(self) -> Generator[None, None, None]:
            yield

    async def run(data):
        await Pause()

    coroutine = scoring_of(run).answer_async(REQUEST)
    coroutine.send(None)

    with pytest.raises(GeneratorExit):
        coroutine.throw(GeneratorExit())


@pytest.mark.parametrize("name", ["coroutine", "async_generator"])
def test_an_ordinary_run_that_returns_something_to_await_is_told_so(name: str):
    async def coroutine() -> None: ...

    async def async_generator() -> AsyncIterator[int]:
        yield 1

    value = {"coroutine": coroutine, "async_generator": async_generator}[name]

    reply = answer(scoring_of(lambda data: value()))

    assert json.loads(reply.body)["error"]["message"] == (
        f"run() returned an object of type `{name}` that nothing awaits: "
        "declare run() with `async def`"
    )


# --- anything ------------------------------------------------------------------------------------

NAMES = st.sampled_from(["X-A", "Content-Type", "content-length", "Set-Cookie", "Date"]) | st.text()
SAFE = st.text(st.characters(exclude_characters="\r\n"))


@st.composite
def responses(draw: st.DrawFn) -> Any:
    """A response, or the error that making it raised."""
    message = draw(
        st.none() | st.text() | st.binary() | st.integers() | st.lists(st.text() | st.binary())
        | st.dictionaries(st.text(), st.floats()) | st.just(iter(["a", b"b", 3]))
    )  # fmt: skip
    status = draw(st.integers(-1, 1200) | st.sampled_from([200, 204, 304, 500]) | st.text())
    headers = draw(st.dictionaries(NAMES, st.text(), max_size=3))
    try:
        return AMLResponse(message, status, headers, draw(st.booleans()), draw(st.booleans()))
    except Exception as error:  # noqa: BLE001 - the user's own mistake
        return error


VALUES = (
    responses()
    | st.none()
    | st.text()
    | st.binary()
    | st.floats()
    | st.lists(st.integers() | st.floats() | st.just(object()))
    | st.dictionaries(st.text() | st.tuples(), st.complex_numbers() | st.integers())
    | st.lists(st.text() | st.binary() | st.just(object())).map(iter)
    | st.sampled_from(ERRORS)
)


@few
@given(VALUES, st.sampled_from([Settings(), NO_DETAILS, COMPAT]))
def test_any_outcome_of_run_is_answered_well(value: Any, settings: Settings):
    def run(data):
        if isinstance(value, BaseException):
            raise value
        return value

    reply, spent = scoring_of(run, settings).answer(REQUEST, call)

    assert_well_formed(reply)
    assert spent >= 0
    if reply.failure is not None:
        assert json.loads(reply.body).keys() <= {"message", "error"}
        assert len(reply.failure.log_lines()) <= 10
