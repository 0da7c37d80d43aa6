"""The response class of scoring scripts."""

from __future__ import annotations

import math
from typing import Any

import flask
import numpy as np
import pytest

from inference_server.api import AMLResponse
from inference_server.encoding import UnserialisableError

HTML = "text/html; charset=utf-8"
JSON = "application/json"


def fields_of(response: flask.Response, name: str) -> list[str]:
    return response.headers.getlist(name)


@pytest.mark.parametrize(
    ("message", "json_str", "body", "content_type"),
    [
        pytest.param("text", False, b"text", HTML, id="text"),
        pytest.param(b"\xff", False, b"\xff", HTML, id="bytes"),
        pytest.param(bytearray(b"ab"), False, b"ab", HTML, id="bytearray"),
        pytest.param(["a", "b"], False, b"ab", HTML, id="list of texts"),
        pytest.param(None, False, b"{}", JSON, id="none"),
        pytest.param(None, True, b"{}", JSON, id="none as JSON"),
        pytest.param({"a": 1}, False, b'{"a": 1}', JSON, id="dict"),
        pytest.param({"a": 1}, True, b'{"a": 1}', JSON, id="dict as JSON"),
        pytest.param("text", True, b'"text"', JSON, id="text as JSON"),
        pytest.param([1, math.nan], True, b"[1, null]", JSON, id="nan as JSON"),
        pytest.param(np.array([1]), True, b"[1]", JSON, id="array as JSON"),
    ],
)
def test_the_message_becomes_the_body(message: Any, json_str: bool, body: bytes, content_type: str):
    response = AMLResponse(message, 200, json_str=json_str)

    assert (response.get_data(), response.headers["Content-Type"]) == (body, content_type)
    assert isinstance(response, flask.Response)


def test_a_generator_is_not_read():
    response = AMLResponse(iter(["a"]), 200)

    assert response.is_streamed


def test_a_message_without_a_json_form_is_refused():
    with pytest.raises(UnserialisableError):
        AMLResponse({"a": object()}, 200)


@pytest.mark.parametrize(
    ("status", "code", "line"),
    [
        pytest.param(404, 404, "404 NOT FOUND", id="number"),
        pytest.param("404 Not Here", 404, "404 Not Here", id="text"),
        pytest.param(555, 555, "555 UNKNOWN", id="unknown"),
    ],
)
def test_the_status_is_a_number_or_a_line(status: Any, code: int, line: str):
    response = AMLResponse("", status)

    assert (response.status_code, response.status) == (code, line)


@pytest.mark.parametrize("failed", [True, False])
def test_the_outcome_of_the_run_is_a_header(failed: bool):
    response = AMLResponse("", 200, run_function_failed=failed)

    assert fields_of(response, "x-ms-run-function-failed") == [str(failed)]


@pytest.mark.parametrize("name", ["Content-Type", "content-type", "CONTENT-TYPE"])
@pytest.mark.parametrize("message", ["text", None, {"a": 1}])
def test_a_content_type_in_any_case_replaces_the_default(name: str, message: Any):
    assert fields_of(AMLResponse(message, 200, {name: "text/csv"}), "Content-Type") == ["text/csv"]


def test_commas_do_not_split_a_value():
    cookie = "a=b; Expires=Wed, 21 Oct 2026 07:28:00 GMT"

    response = AMLResponse("", 200, {"Set-Cookie": cookie, "X-List": "a, b, c"})

    assert fields_of(response, "Set-Cookie") == [cookie]
    assert fields_of(response, "X-List") == ["a, b, c"]


def test_a_value_may_be_a_number():
    assert fields_of(AMLResponse("", 200, {"X-N": 5}), "X-N") == ["5"]  # type: ignore[dict-item]


def test_responses_do_not_share_their_headers():
    AMLResponse("", 200).headers["X-First"] = "1"

    assert fields_of(AMLResponse("", 200), "X-First") == []


def test_the_response_may_be_changed_afterwards():
    response = AMLResponse(b"", 200)
    response.mimetype = "image/jpg"
    response.headers["X-Later"] = "yes"

    assert (response.headers["Content-Type"], response.headers["X-Later"]) == ("image/jpg", "yes")
