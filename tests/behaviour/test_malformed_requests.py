"""What is not HTTP, or too much of it, is answered in JSON and hurts nobody."""

from __future__ import annotations

import pytest

from tests.behaviour.support import exchange, get_request
from tests.contract.support import shared_server
from tests.servers import ServerProcess

server = shared_server("returns_input.py")

TLS_HELLO = bytes.fromhex("16030100a5010000a10303") + bytes(range(160))


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"hello\r\n\r\n", 400, id="garbage"),
        pytest.param(b"\x00\xff\xfe\r\n\r\n", 400, id="binary garbage"),
        pytest.param(TLS_HELLO, 400, id="tls"),
        pytest.param(b"GET / HTTP/1.1\nHost: x\n\n", 400, id="bare line feeds"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n", 400, id="one bare line feed"),
        pytest.param(b"GET /\r\n\r\n", 400, id="no version"),
        pytest.param(b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 400, id="unknown version"),
        pytest.param(b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, id="header without a colon"),
        pytest.param(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400, id="space before the colon"),
        pytest.param(b"GET / HTTP/1.1\r\nX: a\x00b\r\n\r\n", 400, id="nul in a header"),
        pytest.param(
            b"POST /score HTTP/1.1\r\nContent-Length: many\r\n\r\n", 400, id="length not a number"
        ),
        pytest.param(
            b"POST /score HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400, id="negative length"
        ),
        pytest.param(
            b"POST /score HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            400,
            id="two lengths",
        ),
        pytest.param(
            b"POST /score HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"0\r\n\r\n",
            400,
            id="length and chunks",
        ),
        pytest.param(get_request("/" + "x" * 20_000), 414, id="long request line"),
        pytest.param(b"GET /" + b"x" * 400_000, 414, id="endless request line"),
        pytest.param(get_request("/", "X: " + "y" * 20_000), 431, id="long header"),
        pytest.param(
            get_request("/", *(f"X-{n}: y" for n in range(500))), 431, id="too many headers"
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 80_000, 431, id="headers without an end"
        ),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="http 2"),
    ],
)
def test_the_answer_is_json_with_the_right_status(
    server: ServerProcess, sent: bytes, status: int
) -> None:
    response = exchange(server, sent)

    assert response.status == status
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Connection"] == "close"
    message = response.json()["message"]
    assert message
    assert "Traceback" not in message


def test_the_server_goes_on(server: ServerProcess) -> None:
    assert server.score("x").json() == "x"
    assert server.log_lines(r" E \[\d+\] |Traceback") == []


@pytest.mark.parametrize("method", ["BREW", "PROPFIND"])
def test_an_unknown_method_is_not_allowed(server: ServerProcess, method: str) -> None:
    response = exchange(server, f"{method} /score HTTP/1.1\r\nConnection: close\r\n\r\n".encode())

    assert response.status == 405
    assert response.json()["message"]


def test_a_body_on_a_get_is_read(server: ServerProcess) -> None:
    request = b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"

    assert exchange(server, request).status == 200
