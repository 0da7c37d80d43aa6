"""From bodies and queries to arguments, in the modes that know no type hints."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import flask
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_server.api.aml_request import rawhttp
from inference_server.binding import (
    RawBinding,
    ScoringInput,
    TextBinding,
    headers_of,
    query_texts,
    query_values,
)
from inference_server.errors import RequestError
from tests.inference_server.support import binding_of, few, get, post, script_of


def run_data(data): ...


def run_defaults(data, n=1): ...


def run_text(data: str): ...


def run_bytes(data: bytes): ...


def run_optional_bytes(data: bytes | None = None): ...


def run_with_headers(request_headers, data): ...


def refusal(binding: Any, request: ScoringInput) -> tuple[HTTPStatus, str]:
    with pytest.raises(RequestError) as caught:
        binding.arguments(request)
    return caught.value.status, caught.value.message


@pytest.mark.parametrize("run", [run_data, run_text, run_defaults])
@pytest.mark.parametrize(
    "body", [b"", b'{"a": 1}', "h\u00e9llo \u2603".encode(), b"\xef\xbb\xbf{}", b"no json"]
)
def test_the_body_is_handed_over_as_text(run: Any, body: bytes):
    assert binding_of(run).arguments(post(body)) == {"data": body.decode()}


@pytest.mark.parametrize("content_type", ["", "application/x-www-form-urlencoded", "text/plain"])
def test_the_content_type_does_not_matter_to_text(content_type: str):
    assert binding_of(run_data).arguments(post(b"a=1", content_type)) == {"data": "a=1"}


@pytest.mark.parametrize("run", [run_bytes, run_optional_bytes])
def test_bytes_may_be_asked_for(run: Any):
    assert binding_of(run).arguments(post(b"\xff\x00")) == {"data": b"\xff\x00"}
    assert binding_of(run).arguments(get("a=1")) == {"data": b'{"a": 1}'}


def test_a_body_that_is_not_utf_8_is_refused():
    assert refusal(binding_of(run_data), post(b"\xff")) == (
        HTTPStatus.BAD_REQUEST,
        "Input cannot be decoded as UTF-8: 'utf-8' codec can't decode byte 0xff in position 0: "
        "invalid start byte",
    )


def test_the_query_of_a_get_becomes_the_text_of_an_object():
    request = get("a=1&b=[1,2]&c=x&a=2&d=null&e=")

    assert binding_of(run_data).arguments(request) == {
        "data": '{"a": [1, 2], "b": [1, 2], "c": "x", "d": null, "e": ""}'
    }
    assert binding_of(run_data).arguments(get()) == {"data": "{}"}


@pytest.mark.parametrize(
    ("query", "values"),
    [
        pytest.param("a=%7B%22q%22%3A1%7D", {"a": {"q": 1}}, id="object"),
        pytest.param("a=%221%22", {"a": "1"}, id="quoted text"),
        pytest.param("a=b+c%20d", {"a": "b c d"}, id="blanks"),
        pytest.param("a", {"a": ""}, id="name alone"),
        pytest.param("a=%zz%4&b=%", {"a": "%zz%4", "b": "%"}, id="bad percent-encoding"),
        pytest.param("a=%ff", {"a": "\ufffd"}, id="no UTF-8"),
        pytest.param("a=%C3%A9", {"a": "\u00e9"}, id="UTF-8"),
        pytest.param("a=\u00c3\u00a9", {"a": "\u00e9"}, id="UTF-8 that was not quoted"),
        pytest.param("a=" + "9" * 5000, {"a": "9" * 5000}, id="thousands of digits"),
        pytest.param("a=" + "[" * 4000, {"a": "[" * 4000}, id="nested beyond reading"),
        pytest.param("&&=1&;", {"": 1, ";": ""}, id="stray separators"),
    ],
)
def test_a_query_is_read_as_json_where_it_is_json(query: str, values: dict[str, Any]):
    assert query_values(get(query).environ) == values


def test_the_texts_of_a_query_stay_texts():
    assert query_texts(get("a=1&a=null&b=[1]").environ) == {"a": ["1", "null"], "b": "[1]"}


def test_the_deepest_query_that_can_be_read_can_be_written_too():
    binding = binding_of(run_data)

    for depth in range(700, 1100, 3):
        data = binding.arguments(get("a=" + "[" * depth + "]" * depth))["data"]
        assert data.count("[") == depth


def test_the_headers_are_handed_over_when_they_are_asked_for():
    request = post(b"x", "text/plain", **{"X-FOO-bar": "a,b"})

    arguments = binding_of(run_with_headers).arguments(request)

    assert arguments == {
        "data": "x",
        "request_headers": {
            "Host": "localhost",
            "Content-Type": "text/plain",
            "Content-Length": "1",
            "X-Foo-Bar": "a,b",
        },
    }


def test_an_empty_content_type_is_no_header():
    assert headers_of({"CONTENT_TYPE": "", "HTTP_A_B": "c", "other": "d"}) == {"A-B": "c"}


@pytest.mark.parametrize("mark", [rawhttp, lambda run: run], ids=["marked", "told"])
def test_raw_mode_hands_over_the_request_itself(mark: Any):
    binding = binding_of(mark(run_data), is_raw=True)

    assert isinstance(binding, RawBinding)
    assert binding.arguments(post(b"x"))["data"] is flask.request


def test_raw_mode_hands_over_the_headers_too():
    arguments = binding_of(run_with_headers, is_raw=True).arguments(get())

    assert arguments == {"data": flask.request, "request_headers": {"Host": "localhost"}}


def test_each_mode_says_how_run_is_called():
    assert [
        binding_of(run_data).description,
        binding_of(run_data, is_raw=True).description,
    ] == [
        "run() is not decorated. Server will invoke it with the input in JSON string.",
        "run() is decorated with @rawhttp. Server will invoke it with the flask request object.",
    ]


def test_the_method_is_part_of_the_input():
    assert [get().method, post(b"").method] == ["GET", "POST"]


@few
@given(st.binary())
def test_any_body_is_text_or_refused(body: bytes):
    try:
        arguments = binding_of(run_data).arguments(post(body))
    except RequestError as error:
        status = error.status
        assert status == HTTPStatus.BAD_REQUEST
    else:
        assert arguments == {"data": body.decode()}


@few
@given(st.text() | st.text(alphabet='a1&=%+;[]{}",:'))
def test_any_query_becomes_an_object(query: str):
    wire = query.encode().decode("latin-1")

    data = TextBinding(script_of(run_data)).arguments(get(wire))["data"]

    assert isinstance(json.loads(data), dict)
