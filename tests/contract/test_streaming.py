"""Answers sent while the script still makes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.contract.support import LOG_PREFIX, shared_server
from tests.servers import ServerProcess

server = shared_server("streams.py")
breaking = shared_server("stream_raises_later.py")

CHUNKS = b"3\r\none\r\n2\r\n\x00\xff\r\n7\r\ndrei \xc3\xa9\r\n0\r\n\r\n"


def post(body: str = "", version: str = "1.1", path: str = "/score") -> bytes:
    """Return the bytes of a scoring request that ends its connection."""
    head = f"POST {path} HTTP/{version}\r\nHost: x\r\nConnection: close\r\n"
    return (head + f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


def test_each_yield_is_a_chunk(server: ServerProcess) -> None:
    head, _, body = server.raw(post()).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"transfer-encoding: chunked" in head.lower()
    assert b"content-length" not in head.lower()
    assert body == CHUNKS


def test_a_stream_carries_the_scoring_headers(server: ServerProcess) -> None:
    response = server.score("text/event-stream")

    assert response.body == b"one\x00\xffdrei \xc3\xa9"
    assert response.headers.get_all("Content-Type") == ["text/event-stream"]
    assert response.headers.get_all("x-ms-run-function-failed") == ["False"]
    assert "x-ms-run-fn-exec-ms" in response.headers
    assert "x-request-id" in response.headers


def test_a_client_of_http_1_0_gets_the_stream_unchunked(server: ServerProcess) -> None:
    head, _, body = server.raw(post(version="1.0")).partition(b"\r\n\r\n")

    assert b"chunked" not in head.lower()
    assert body == b"one\x00\xffdrei \xc3\xa9"


def test_the_request_line_of_a_stream_has_no_length(server: ServerProcess) -> None:
    server.raw(post(path="/score?streamed"))

    server.wait_for_log(
        LOG_PREFIX + r" I \[\d+\] azmlinfsrv - POST /score\?streamed 200 \d+\.\d{3}ms N/A"
    )


def test_a_chunk_is_sent_before_the_next_is_made(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server("streams_then_waits.py")

    with server.connect() as connection:
        connection.sendall(post())
        received = b""
        while not received.endswith(b"5\r\nfirst\r\n"):
            block = connection.recv(65536)
            assert block, f"the stream ended after {received!r}"
            received += block
        (tmp_path / "release").touch()
        rest = b"".join(iter(lambda: connection.recv(65536), b""))

    assert rest == b"6\r\nsecond\r\n0\r\n\r\n"


@pytest.mark.gunicorn_only
def test_a_stream_that_breaks_has_no_end(breaking: ServerProcess) -> None:
    body = breaking.raw(post()).partition(b"\r\n\r\n")[2]

    assert body == b"3\r\none\r\n3\r\ntwo\r\n"


@pytest.mark.parametrize("times", [3])
def test_a_stream_that_breaks_leaves_the_server_working(
    breaking: ServerProcess, times: int
) -> None:
    for _ in range(times):
        breaking.raw(post())

    assert breaking.score("whole").json() == "whole"
