"""Request ids: which are taken over, made up, echoed and refused."""

from __future__ import annotations

import uuid

import pytest

from tests.contract.support import LOG_PREFIX, shared_server, status_line
from tests.responses import Response
from tests.servers import ServerProcess

server = shared_server("run_raises.py")

NAMES = ("x-request-id", "x-ms-request-id", "x-ms-client-request-id")


def ids_of(response: Response) -> tuple[str | None, ...]:
    """Return the three ids; each at most once."""
    assert all(len(response.headers.get_all(name)) <= 1 for name in NAMES)
    return tuple(response.headers.get(name) for name in NAMES)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param((None, None, None), ("new", "new", None), id="none"),
        pytest.param(("A", None, None), ("A", "A", None), id="request"),
        pytest.param((None, "B", None), ("new", "B", "B"), id="legacy"),
        pytest.param((None, None, "C"), ("new", "C", "C"), id="client"),
        pytest.param(("A", "B", None), ("A", "B", "B"), id="request-legacy"),
        pytest.param((None, "B", "C"), ("new", "B", "C"), id="legacy-client"),
        pytest.param(("A", None, "C"), ("A", "C", "C"), id="request-client"),
        pytest.param(("A", "B", "C"), ("A", "B", "C"), id="all"),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("POST", "/score")])
def test_ids_are_taken_over_or_made_up(
    server: ServerProcess,
    method: str,
    path: str,
    sent: tuple[str | None, ...],
    expected: tuple[str | None, ...],
) -> None:
    headers = {name: value for name, value in zip(NAMES, sent, strict=True) if value}

    answered = ids_of(server.request(method, path, headers=headers))

    made_up = answered[0] if expected[0] == "new" else None
    assert answered == tuple(made_up if value == "new" else value for value in expected)
    if made_up:
        assert str(uuid.UUID(made_up)) == made_up


def test_each_request_gets_an_id_of_its_own(server: ServerProcess) -> None:
    assert ids_of(server.get("/"))[0] != ids_of(server.get("/"))[0]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        pytest.param("POST", "/score", b"failure", 500, id="failed run"),
        pytest.param("POST", "/score", b"\xff", 400, id="refused input"),
        pytest.param("HEAD", "/score", None, 405, id="refused method of score"),
        pytest.param("OPTIONS", "/score", None, 200, id="options"),
        pytest.param("GET", "/swagger.json", None, 200, id="document"),
        pytest.param("GET", "/swagger.json?version=9", None, 404, id="unknown document"),
    ],
)
def test_an_answer_of_any_status_carries_the_ids(
    server: ServerProcess, method: str, path: str, body: bytes | None, status: int
) -> None:
    response = server.request(method, path, body, dict(zip(NAMES, "ABC", strict=True)))

    assert response.status == status
    assert ids_of(response) == ("A", "B", "C")


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("POST", "/score")])
def test_a_request_id_over_100_characters_is_refused(
    server: ServerProcess, method: str, path: str
) -> None:
    headers = {"x-request-id": "i" * 101, "x-ms-client-request-id": "C"}

    response = server.request(method, path, headers=headers)

    assert status_line(response) == (431, "REQUEST HEADER FIELDS TOO LARGE")
    assert response.json()["message"] == "x-request-id must not exceed 100 characters"
    assert response.headers["x-ms-run-function-failed"] == "False"
    assert ids_of(response) == (None, None, None)


@pytest.mark.parametrize("name", ["x-ms-request-id", "x-ms-client-request-id"])
def test_another_id_over_100_characters_is_refused(server: ServerProcess, name: str) -> None:
    response = server.request("POST", "/score", headers={"x-request-id": "A", name: "i" * 101})

    assert response.status == 431
    assert response.json()["message"] == (
        "x-ms-request-id and x-ms-client-request-id must not exceed 100 characters"
    )
    assert ids_of(response) == ("A", None, None)


def test_ids_of_100_characters_are_accepted(server: ServerProcess) -> None:
    headers = {name: letter * 100 for name, letter in zip(NAMES, "abc", strict=True)}

    response = server.request("POST", "/score", headers=headers)

    assert response.status == 200
    assert ids_of(response) == ("a" * 100, "b" * 100, "c" * 100)


@pytest.mark.gunicorn_only
def test_an_id_beyond_ascii_is_echoed_byte_for_byte(server: ServerProcess) -> None:
    request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nx-request-id: caf\xe9\r\n\r\n"

    assert b"\r\nx-request-id: caf\xe9\r\n" in server.raw(request)


def test_the_trace_id_is_echoed(server: ServerProcess) -> None:
    assert server.get("/", {"TraceId": "T"}).headers.get_all("TraceId") == ["T"]
    assert "TraceId" not in server.get("/").headers


def test_the_legacy_id_is_called_deprecated_in_the_log(server: ServerProcess) -> None:
    server.get("/", {"x-ms-request-id": "B"})

    server.wait_for_log(
        LOG_PREFIX + r" W \[\d+\] azmlinfsrv - x-ms-request-id header has been deprecated and "
        r"will be removed from future versions of the server\. "
        r"Please use x-ms-client-request-id\."
    )
