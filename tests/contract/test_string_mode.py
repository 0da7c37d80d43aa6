"""An undecorated `run()` gets the request as text."""

from __future__ import annotations

import json
import re

import pytest

from tests.contract.support import LOG_PREFIX, expected_of, shared_server, status_line
from tests.responses import parse_response
from tests.servers import ServerProcess

server = shared_server("returns_input.py")


@pytest.mark.parametrize("body", ["", "plain", '{"a": [1]}', "héllo ☃ 😀", "\x00\n"])
def test_run_gets_the_body_as_text(server: ServerProcess, body: str) -> None:
    response = server.score(body)

    assert (response.status, response.json()) == (200, body)


def test_the_log_names_the_mode(server: ServerProcess) -> None:
    server.wait_for_log(
        LOG_PREFIX + r" I \[\d+\] azmlinfsrv\.user_script - run\(\) is not decorated\. "
        r"Server will invoke it with the input in JSON string\."
    )


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/json", "application/octet-stream", "image/png", ""]
)
def test_the_content_type_does_not_matter(server: ServerProcess, content_type: str) -> None:
    assert server.score("[1]", {"Content-Type": content_type}).json() == "[1]"


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded"])
def test_a_form_body_reaches_run(server: ServerProcess, content_type: str) -> None:
    scored = server.score('{"a": 1}', {"Content-Type": content_type}).json()

    assert scored == expected_of(reference="", ours='{"a": 1}')


def test_a_successful_answer_has_the_scoring_headers(server: ServerProcess) -> None:
    headers = server.score("x").headers

    assert headers.get_all("Content-Type") == ["application/json"]
    assert headers.get_all("x-ms-run-function-failed") == ["False"]
    (elapsed,) = headers.get_all("x-ms-run-fn-exec-ms")
    assert re.fullmatch(r"\d+\.\d{3}", elapsed)


def test_a_body_that_is_not_utf_8_is_refused(server: ServerProcess) -> None:
    response = server.score(b"\xff")

    assert status_line(response) == (400, "BAD REQUEST")
    assert response.json()["message"] == (
        "Input cannot be decoded as UTF-8: 'utf-8' codec can't decode byte 0xff in position 0: "
        "invalid start byte"
    )
    assert response.headers["x-ms-run-function-failed"] == "False"
    assert "x-ms-run-fn-exec-ms" not in response.headers


def test_a_chunked_body_is_put_together(server: ServerProcess) -> None:
    head = b"POST /score HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    request = head + b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n5\r\n, two\r\n0\r\n\r\n"

    assert parse_response(server.raw(request)).json() == "one, two"


def test_a_client_that_asks_first_is_told_to_continue(server: ServerProcess) -> None:
    head = b"POST /score HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n"

    with server.connect() as connection:
        connection.sendall(head + b"Expect: 100-continue\r\n\r\n")
        interim = connection.recv(65536)
        connection.sendall(b"x")
        final = b"".join(iter(lambda: connection.recv(65536), b""))

    assert interim.startswith(b"HTTP/1.1 100 ")
    assert parse_response(final).json() == "x"


def test_a_body_of_some_megabytes_arrives_whole(server: ServerProcess) -> None:
    body = "x" * (3 * 1024 * 1024)

    assert server.score(body).json() == body


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("", {}, id="no query"),
        pytest.param("?", {}, id="empty query"),
        pytest.param("?a=1", {"a": 1}, id="number"),
        pytest.param("?a=1.50", {"a": 1.5}, id="fraction"),
        pytest.param("?a=true&b=null", {"a": True, "b": None}, id="words of JSON"),
        pytest.param("?a=x", {"a": "x"}, id="text"),
        pytest.param("?a=%22x%22", {"a": "x"}, id="quoted text"),
        pytest.param("?a=", {"a": ""}, id="blank"),
        pytest.param("?a", {"a": ""}, id="no equals sign"),
        pytest.param("?a=[1,2]", {"a": [1, 2]}, id="list"),
        pytest.param('?a={"q":1}', {"a": {"q": 1}}, id="object"),
        pytest.param("?a=1&a=x&a=", {"a": [1, "x", ""]}, id="repeated"),
        pytest.param("?a=%C3%A9+b%2Bc", {"a": "é b+c"}, id="percent and plus"),
        pytest.param("?A=1&a=2", {"A": 1, "a": 2}, id="case matters"),
        pytest.param(
            "?a=1&b=[1,2]&c=x&a=2&d=null&e=",
            {"a": [1, 2], "b": [1, 2], "c": "x", "d": None, "e": ""},
            id="order of first sight",
        ),
    ],
)
def test_get_turns_the_query_into_json_text(
    server: ServerProcess, query: str, expected: dict[str, object]
) -> None:
    target = "/score" + query.replace('"', "%22")

    text = server.get(target).json()

    assert text == json.dumps(expected)
