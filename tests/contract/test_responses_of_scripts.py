"""Answers a script makes itself: `AMLResponse` and Flask's own."""

from __future__ import annotations

import pytest

from tests.conftest import StartServer
from tests.contract.support import shared_server, status_line
from tests.responses import Response
from tests.servers import ServerProcess

server = shared_server("raw_returns_aml_responses.py")

HTML = "text/html; charset=utf-8"
JSON = "application/json"
FAILED = "x-ms-run-function-failed"


def named(server: ServerProcess, name: str) -> Response:
    """Ask for one of the script's responses."""
    return server.get(f"/score?name={name.replace(' ', '+')}")


@pytest.mark.parametrize(
    ("name", "status", "content_type", "body", "failed"),
    [
        ("text", 200, HTML, "text é".encode(), "False"),
        ("bytes", 200, HTML, b"\x00\xff\x80", "False"),
        ("json", 422, JSON, b'{"e": [1, "\\u00e9"]}', "False"),
        ("none", 201, JSON, b"{}", "False"),
        ("failed", 200, HTML, b"sorry", "True"),
        ("keywords", 200, JSON, b'{"k": 1}', "True"),
        ("424", 424, JSON, b'{"e": 1}', "False"),
        ("503", 503, HTML, b"later", "True"),
        ("555", 555, HTML, b"odd", "True"),
        ("is response", 200, HTML, b"True", "False"),
        ("later mimetype", 200, "image/png", b"\x89PNG", "False"),
        ("flask 500", 500, HTML, b"flask failed", "True"),
    ],
)
def test_a_response_is_answered_as_it_was_made(
    server: ServerProcess, *, name: str, status: int, content_type: str, body: bytes, failed: str
) -> None:
    response = named(server, name)

    assert (response.status, response.body) == (status, body)
    assert response.headers.get_all("Content-Type") == [content_type]
    assert response.headers.get_all("Content-Length") == [str(len(body))]
    assert response.headers.get_all(FAILED) == [failed]
    assert "x-ms-run-fn-exec-ms" in response.headers


@pytest.mark.parametrize(
    ("name", "status", "content_type", "body"),
    [
        ("flask", 202, "text/plain; charset=utf-8", b"flask body"),
        ("make_response", 203, HTML, b"[1]"),
        ("jsonify", 200, JSON, b'{"a":1}\n'),
    ],
)
def test_a_flask_response_below_500_says_nothing_about_the_run(
    server: ServerProcess, name: str, status: int, content_type: str, body: bytes
) -> None:
    response = named(server, name)

    assert (response.status, response.body) == (status, body)
    assert response.headers.get_all("Content-Type") == [content_type]
    assert FAILED not in response.headers


@pytest.mark.gunicorn_only
@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("json", 422, "UNPROCESSABLE ENTITY"),
        ("424", 424, "FAILED DEPENDENCY"),
        ("555", 555, "UNKNOWN"),
        ("string status", 404, "Not Here"),
    ],
)
def test_the_reason_phrase_follows_the_status(
    server: ServerProcess, name: str, status: int, reason: str
) -> None:
    response = named(server, name)

    assert status_line(response) == (status, reason)


def test_a_status_without_content_sends_none(server: ServerProcess) -> None:
    response = named(server, "204")

    assert (response.status, response.body) == (204, b"")
    assert response.headers.get_all("Content-Length") in ([], ["0"])


def test_headers_of_the_response_are_sent(server: ServerProcess) -> None:
    headers = named(server, "headers").headers

    assert (headers.get_all("X-One"), headers.get_all("X-Two")) == (["1"], ["a b"])
    assert named(server, "later mimetype").headers.get_all("X-Later") == ["yes"]
    assert named(server, "flask").headers.get_all("X-One") == ["1"]


def test_a_content_type_among_the_headers_replaces_the_default(server: ServerProcess) -> None:
    response = named(server, "content type")

    assert response.body == b"a,b"
    assert response.headers.get_all("Content-Type") == ["text/csv"]


def test_the_ids_of_the_request_win_over_the_scripts(server: ServerProcess) -> None:
    ids = {"x-request-id": "A", "x-ms-request-id": "B", "x-ms-client-request-id": "C"}

    response = server.get("/score?name=own+ids", ids)

    assert {name: response.headers.get_all(name) for name in ids} == {
        name: [value] for name, value in ids.items()
    }


def test_a_response_may_come_from_any_mode(start_server: StartServer) -> None:
    response = start_server("returns_aml_response.py").score("input")

    assert (response.status, response.body) == (202, b"input")
    assert response.headers["X-Mode"] == "string"
