"""A `run()` described with inference-schema gets its arguments from a JSON object."""

from __future__ import annotations

import json

import pytest

from tests.contract.support import expected_of, requires, shared_server, status_line
from tests.servers import ServerProcess

requires("inference_schema")

server = shared_server("schema_standard.py")
output_only = shared_server("schema_output_only.py")
power_bi = shared_server("schema_power_bi.py")
custom = shared_server("schema_custom_type.py")

UNGIVEN = {
    "number": 1,
    "items": None,
    "when": ["NoneType", "None"],
    "blob": ["NoneType", "None"],
    "factor": 4,
    "plain": None,
    "foo": None,
}


def test_a_default_stands_in_for_what_is_not_given(server: ServerProcess) -> None:
    response = server.score('{"number": 1}')

    assert (response.status, response.json()) == (200, UNGIVEN)
    assert response.headers.get_all("x-ms-run-function-failed") == ["False"]
    assert "x-ms-run-fn-exec-ms" in response.headers


def test_values_are_converted_to_the_described_types(server: ServerProcess) -> None:
    body = {
        "number": 2,
        "items": {"a": [1, 2.5], "b": "y"},
        "when": "2021-02-03T04:05:06",
        "blob": "aGVsbG8=",
        "factor": 5,
        "plain": "2021-02-03",
    }

    response = server.score(json.dumps(body), {"X-Foo": "bar"})

    assert response.json() == {
        "number": 2,
        "items": {"a": [1, 2.5], "b": "y"},
        "when": ["datetime", response.json()["when"][1]],
        "blob": ["bytes", "b'hello'"],
        "factor": 5,
        "plain": "2021-02-03",
        "foo": "bar",
    }
    assert response.json()["when"][1].startswith("2021-02-03 04:05:06")


def test_unknown_keys_are_ignored(server: ServerProcess) -> None:
    body = {"number": 1, "unknown": 2, "request_headers": {"X-Foo": "forged"}}

    response = server.score(json.dumps(body))

    assert (response.status, response.json()) == (200, UNGIVEN)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/vnd.api+json",
        "APPLICATION/JSON",
    ],
)
def test_a_json_content_type_is_accepted(server: ServerProcess, content_type: str) -> None:
    assert server.score('{"number": 1}', {"Content-Type": content_type}).status == 200


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_json_is_accepted_in_every_unicode_encoding(server: ServerProcess, encoding: str) -> None:
    body = '{"number": 1, "items": {"a": [], "b": "é"}}'.encode(encoding)

    response = server.score(body)

    assert (response.status, response.json()["items"]) == (200, {"a": [], "b": "é"})


@pytest.mark.parametrize(
    ("body", "content_type", "status", "message"),
    [
        pytest.param(
            '{"number": 1}',
            "text/plain",
            415,
            "Expects Content-Type to be application/json",
            id="not JSON by its type",
        ),
        pytest.param(
            '{"number": 1}',
            "application/x-www-form-urlencoded",
            415,
            "Expects Content-Type to be application/json",
            id="a form by its type",
        ),
        pytest.param(
            "",
            "text/plain",
            415,
            "Expects Content-Type to be application/json",
            id="type before emptiness",
        ),
        pytest.param(
            "",
            "application/json",
            400,
            "POST body is empty. Expecting a JSON dictionary.",
            id="empty",
        ),
        pytest.param(
            "{bad",
            "application/json",
            400,
            "POST body could not be decoded as JSON: Expecting property name enclosed in double "
            "quotes: line 1 column 2 (char 1)",
            id="not JSON",
        ),
        pytest.param(
            "[1]",
            "application/json",
            400,
            "POST body should be a JSON dictionary.",
            id="not an object",
        ),
        pytest.param(
            "{}",
            "application/json",
            400,
            "A value is not provided for the 'number' parameter.",
            id="parameter missing",
        ),
    ],
)
def test_a_body_that_is_not_the_arguments_is_refused(
    server: ServerProcess, body: str, content_type: str, status: int, message: str
) -> None:
    response = server.score(body, {"Content-Type": content_type})

    assert (response.status, response.json()["message"]) == (status, message)
    assert response.headers["x-ms-run-function-failed"] == "False"
    assert "x-ms-run-fn-exec-ms" not in response.headers


def test_a_body_without_content_type_is_refused(server: ServerProcess) -> None:
    response = server.request("POST", "/score", '{"number": 1}')

    assert status_line(response) == (415, "UNSUPPORTED MEDIA TYPE")


def test_a_value_of_the_wrong_type_is_refused(server: ServerProcess) -> None:
    response = server.score('{"number": "one"}')

    assert response.status == expected_of(reference=500, ours=422)
    assert isinstance(response.json()["message"], str)


def test_get_takes_the_arguments_from_the_query(server: ServerProcess) -> None:
    response = server.get('/score?number=1&items={"a":[1],"b":"x"}&extra=1'.replace('"', "%22"))

    assert (response.status, response.json()) == (200, {**UNGIVEN, "items": {"a": [1], "b": "x"}})


def test_get_misses_an_argument_as_post_does(server: ServerProcess) -> None:
    response = server.get("/score")

    assert response.status == 400
    assert response.json()["message"] == "A value is not provided for the 'number' parameter."


def test_head_and_options_do_not_reach_run(server: ServerProcess) -> None:
    assert server.request("HEAD", "/score").status == 405
    options = server.request("OPTIONS", "/score")
    assert (options.status, options.body) == (200, b"")


def test_a_described_result_alone_makes_arguments_of_the_body(output_only: ServerProcess) -> None:
    assert output_only.score('{"data": [1]}').json() == ["list", [1]]


def test_the_parameters_of_power_bi_work(power_bi: ServerProcess) -> None:
    body = {"Inputs": {"data": {"age": 3, "name": "y"}}, "GlobalParameters": 0.5}

    assert power_bi.score(json.dumps(body)).json() == {"Results": [1.5]}


def test_a_type_of_the_scripts_own_converts(custom: ServerProcess) -> None:
    assert custom.score('{"degrees": "30C"}').json() == 30.0
    assert custom.score('{"degrees": 30.5}').json() == 30.5
