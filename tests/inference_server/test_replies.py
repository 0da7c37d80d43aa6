"""Answers as values."""

from __future__ import annotations

import json
from http import HTTPStatus

import pytest

from inference_server.failures import Failure
from inference_server.replies import Reply, json_reply, message_reply, status_line


@pytest.mark.parametrize(
    ("code", "line"),
    [
        pytest.param(200, "200 OK", id="known"),
        pytest.param(HTTPStatus.NOT_FOUND, "404 NOT FOUND", id="as an enum"),
        pytest.param(422, "422 UNPROCESSABLE ENTITY", id="renamed by Python 3.13"),
        pytest.param(413, "413 REQUEST ENTITY TOO LARGE", id="renamed by Python 3.13 too"),
        pytest.param(599, "599 UNKNOWN", id="unknown"),
    ],
)
def test_reason_phrases_are_upper_case(code: int, line: str):
    assert status_line(code) == line


def test_a_json_answer_says_whether_run_failed():
    assert json_reply(b"[1]", 201, run_failed=True) == Reply(
        "201 CREATED",
        [
            ("Content-Type", "application/json"),
            ("Content-Length", "3"),
            ("x-ms-run-function-failed", "True"),
        ],
        b"[1]",
    )


@pytest.mark.parametrize("show_details", [True, False])
def test_the_place_of_a_failure_is_told_only_when_it_may_be(show_details: bool):
    failure = Failure("ValueError", "h\u00e9 \ud800")

    reply = message_reply(500, "failed", failure=failure, show_details=show_details)

    body = json.loads(reply.body.decode("ascii"))
    expected = {"message": "failed", "error": failure.as_json()}
    assert body == (expected if show_details else {"message": "failed"})
    assert (reply.code, reply.failure) == (500, failure)


def test_a_message_without_a_failure_stands_alone():
    assert message_reply(400, "no", show_details=True).body == b'{"message": "no"}'


def test_headers_are_found_in_any_case():
    reply = Reply("200 OK", [("X-A", "1")])

    assert (reply.has("x-a"), reply.has("x-b")) == (True, False)
