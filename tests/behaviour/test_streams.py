"""Generators as answers: their formats, their errors, and clients that leave them."""

from __future__ import annotations

import http.client
import json

import pytest

from tests.behaviour.support import metric, scoring_request
from tests.conftest import StartServer
from tests.contract.support import shared_server
from tests.servers import ServerProcess, poll

EVENTS = {"Accept": "text/event-stream"}

server = shared_server("run_is_generator.py")
asynchronous = shared_server("run_is_async_generator.py")


@pytest.mark.parametrize(
    ("kind", "content_type", "body"),
    [
        ("objects", "application/x-ndjson", b'{"n": 1}\n[2, null]\n"three"\n'),
        ("text", "text/plain; charset=utf-8", "one\nzwei é".encode()),
        ("bytes", "application/octet-stream", b"\x00\xff\n"),
        ("nothing", "application/x-ndjson", b""),
    ],
)
def test_the_first_item_decides_about_the_format(
    server: ServerProcess, kind: str, content_type: str, body: bytes
) -> None:
    response = server.score(kind)

    assert response.status == 200
    assert response.headers["Content-Type"] == content_type
    assert response.body == body
    assert response.headers["x-ms-run-function-failed"] == "False"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("objects", b'data: {"n": 1}\n\ndata: [2, null]\n\ndata: three\n\n'),
        ("text", "data: one\ndata: \n\ndata: zwei é\n\n".encode()),
    ],
)
def test_a_client_that_accepts_events_gets_events(
    server: ServerProcess, kind: str, body: bytes
) -> None:
    response = server.score(kind, EVENTS)

    assert response.headers["Content-Type"] == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.body == body


def test_a_connection_is_used_again_after_a_stream(server: ServerProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for _ in range(3):
        connection.request("POST", "/score", body="text")
        response = connection.getresponse()
        assert response.read() == "one\nzwei é".encode()
        assert response.headers["Connection"] == "keep-alive"
    connection.close()


def test_an_error_before_the_first_item_is_an_ordinary_answer(server: ServerProcess) -> None:
    response = server.score("fails first")

    assert response.status == 500
    error = response.json()["error"]
    assert (error["type"], error["message"]) == ("ValueError", "no first item")
    assert error["source"] == 'raise ValueError("no first item")'


def broken_stream(server: ServerProcess, kind: str, headers: dict[str, str] | None = None) -> bytes:
    """Return what came of a stream that was cut off."""
    with pytest.raises(http.client.IncompleteRead) as broken:
        server.score(kind, headers)
    return broken.value.partial


@pytest.mark.parametrize(
    ("kind", "message"),
    [("fails later", "no second item"), ("cannot be encoded", "object")],
)
def test_an_error_in_the_middle_is_the_last_line(
    server: ServerProcess, kind: str, message: str
) -> None:
    first, last = map(json.loads, broken_stream(server, kind).splitlines())

    assert first == {"n": 1}
    assert message in last["error"]["message"]
    assert last["error"]["file"].endswith("run_is_generator.py")


def test_an_error_in_the_middle_is_the_last_event(server: ServerProcess) -> None:
    events = broken_stream(server, "fails later", EVENTS).split(b"\n\n")

    assert events[0] == b'data: {"n": 1}'
    assert events[1].startswith(b'event: error\ndata: {"error": {"type": "ValueError"')
    assert events[2:] == [b""]


def test_the_log_says_where_a_stream_broke(server: ServerProcess) -> None:
    with pytest.raises(http.client.IncompleteRead):
        server.score("fails later", {"x-request-id": "broken-stream"})

    server.wait_for_log(
        r" E \[\d+\] azmlinfsrv - Encountered Exception: ValueError: no second item "
        r"\[broken-stream\]\n  \S*run_is_generator\.py:\d+ in run$"
    )


def test_error_details_can_be_kept_from_the_stream(start_server: StartServer) -> None:
    server = start_server("run_is_generator.py", "--error_details", "none")

    assert broken_stream(server, "fails later") == b'{"n": 1}\n'


def test_a_generator_that_fails_to_close_costs_nothing_else(server: ServerProcess) -> None:
    for _ in range(3):
        with pytest.raises(http.client.IncompleteRead):
            server.score("close fails")

    assert server.score("objects").status == 200
    poll(lambda: server.get("/readyz").json()["state"] == "READY", timeout=5)


@pytest.mark.parametrize("script", ["run_is_generator.py", "run_is_async_generator.py"])
def test_a_client_that_leaves_closes_the_generator(start_server: StartServer, script: str) -> None:
    server = start_server(script)

    with server.connect() as leaving:
        leaving.sendall(scoring_request("endless"))
        assert leaving.recv(65536).startswith(b"HTTP/1.1 200 ")

    poll((server.cwd / "closed").exists, timeout=5)
    assert poll(lambda: server.score("objects").status == 200, timeout=5)
    assert metric(server, "azml_rejected_requests_total", reason="client_gone") == 1


def test_a_client_that_stops_reading_a_stream_is_given_up(start_server: StartServer) -> None:
    server = start_server("run_is_generator.py", "--body_timeout", "0.5")

    with server.connect() as stopped:
        stopped.sendall(scoring_request("endless"))
        poll((server.cwd / "closed").exists, timeout=20)

    assert server.score("objects").status == 200


def test_asynchronous_generators_stream_too(asynchronous: ServerProcess) -> None:
    response = asynchronous.score("objects")

    assert response.headers["Content-Type"] == "application/x-ndjson"
    assert response.body == b'{"n": 1}\n{"n": 2}\n'
    assert asynchronous.score("objects", EVENTS).body == b'data: {"n": 1}\n\ndata: {"n": 2}\n\n'
    assert asynchronous.score("nothing").body == b""


def test_errors_of_asynchronous_generators_are_told(asynchronous: ServerProcess) -> None:
    assert asynchronous.score("fails first").status == 500

    first, last = map(json.loads, broken_stream(asynchronous, "fails later").splitlines())

    assert first == {"n": 1}
    assert last["error"]["file"].endswith("run_is_async_generator.py")


def test_streams_of_several_clients_go_on_side_by_side(start_server: StartServer) -> None:
    server = start_server("run_is_async_generator.py", "--max_concurrent_requests", "2")

    with server.connect() as endless:
        endless.sendall(scoring_request("endless"))
        assert endless.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert server.score("objects").body == b'{"n": 1}\n{"n": 2}\n'
        assert endless.recv(65536)
