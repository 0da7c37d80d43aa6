"""Request bodies of every kind: what arrives is what was sent, or `run()` is not called."""

from __future__ import annotations

import hashlib
import http.client
import os
import socket
import time
from collections.abc import Iterator

import pytest

from tests.behaviour.support import (
    exchange,
    lines_of,
    metric,
    read_to_end,
    read_until,
    scoring_request,
)
from tests.conftest import StartServer
from tests.contract.support import shared_server
from tests.responses import Response, parse_response
from tests.servers import ServerProcess

MIB = 1 << 20

digests = shared_server("raw_digests_body.py")
limited = shared_server("raw_digests_body.py", "--max_body_size", "10MiB")
hurried = shared_server("raw_digests_body.py", "--header_timeout", "0.5", "--body_timeout", "0.5")
echo = shared_server("returns_input.py")


def digest(body: bytes) -> dict[str, object]:
    """What the script answers for a body."""
    return {"length": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def chunked(pieces: Iterator[bytes] | list[bytes], *, end: bytes = b"0\r\n\r\n") -> bytes:
    """Return the bytes of a request with a chunked body."""
    head = "POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head.encode() + b"\r\n" + body + end


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(bytes(range(256)) * 40, id="binary"),
        pytest.param("Grüße, 世界 \u0000 🎉".encode(), id="unicode"),
        pytest.param(b"\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n", id="looks like http"),
        pytest.param(os.urandom(3 * MIB), id="3 MiB"),
    ],
)
def test_a_body_arrives_as_it_was_sent(digests: ServerProcess, body: bytes) -> None:
    assert exchange(digests, scoring_request(body)).json() == digest(body)
    pieces = [body[start : start + 70_000] for start in range(0, len(body), 70_000)]
    assert exchange(digests, chunked(pieces)).json() == digest(body)


def test_text_comes_back_as_it_was_sent(echo: ServerProcess) -> None:
    text = "Grüße, 世界 🎉"

    assert echo.score(text).json() == text


def test_a_chunked_body_may_have_extensions_and_trailers(digests: ServerProcess) -> None:
    request = chunked([], end=b"3;name=value\r\nabc\r\n0\r\nX-Trailer: yes\r\n\r\n")

    assert exchange(digests, request).json() == digest(b"abc")


def test_a_chunked_body_may_arrive_byte_by_byte(digests: ServerProcess) -> None:
    with digests.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in chunked([b"ab", b"\r\n", b"cdef"]):
            connection.sendall(bytes([byte]))
        response = parse_response(read_to_end(connection))

    assert response.json() == digest(b"ab\r\ncdef")


@pytest.mark.slow
def test_100_mib_are_taken_and_one_byte_more_is_not(digests: ServerProcess) -> None:
    body = os.urandom(MIB) * 100

    assert digests.score(body).json() == digest(body)

    response = big_post(digests, 100 * MIB + 1, iter([body, b"x"]))
    assert response.status == 413
    assert "--max_body_size" in response.json()["message"]


def big_post(server: ServerProcess, length: int, pieces: Iterator[bytes]) -> Response:
    """Send a body whatever the server says meanwhile, then read the answer."""
    head = f"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
    with server.connect() as connection:
        connection.sendall(head.encode())
        for piece in pieces:
            connection.sendall(piece)
        return parse_response(read_to_end(connection))


def test_a_client_that_sends_everything_first_sees_that_it_is_too_large(
    limited: ServerProcess,
) -> None:
    for _ in range(3):
        response = big_post(limited, 60 * MIB, (b"x" * MIB for _ in range(60)))

        assert response.status == 413
        assert response.json() == {
            "message": "The body is larger than 10485760 bytes (--max_body_size)."
        }
        assert response.headers["Connection"] == "close"


@pytest.mark.slow
def test_a_slow_upload_that_is_too_large_is_answered_all_the_same(limited: ServerProcess) -> None:
    """Longer than the server lingers after an answer that nobody reads."""

    def slowly() -> Iterator[bytes]:
        for _ in range(14):
            yield b"x" * MIB
            time.sleep(0.2)

    assert big_post(limited, 14 * MIB, slowly()).status == 413


def test_a_chunked_body_over_the_limit_is_refused(limited: ServerProcess) -> None:
    before = len(lines_of(limited.cwd / "calls"))

    with limited.connect() as connection:
        connection.sendall(chunked((b"x" * MIB for _ in range(40)), end=b""))
        response = parse_response(read_to_end(connection))

    assert response.status == 413
    assert len(lines_of(limited.cwd / "calls")) == before
    assert exchange(limited, chunked([b"x" * MIB] * 10)).status == 200


def test_too_large_bodies_are_counted(start_server: StartServer) -> None:
    server = start_server("raw_digests_body.py", "--max_body_size", "10")

    assert server.score(b"x" * 10).status == 200
    assert server.score(b"x" * 11).status == 413

    assert metric(server, "azml_rejected_requests_total", reason="body_too_large") == 1


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(scoring_request(b"0123456789")[:-1], id="content-length"),
        pytest.param(chunked([b"0123"], end=b""), id="chunks without an end"),
        pytest.param(chunked([b"0123"], end=b"5\r\n01"), id="half a chunk"),
        pytest.param(scoring_request(b"0123456789")[:-13], id="half a header"),
    ],
)
def test_a_truncated_request_does_not_reach_run(
    digests: ServerProcess, request_bytes: bytes
) -> None:
    before = len(lines_of(digests.cwd / "calls"))

    response = exchange(digests, request_bytes, half_close=True)

    assert response.status == 400
    assert "closed before the request's" in response.json()["message"]
    assert len(lines_of(digests.cwd / "calls")) == before


def test_a_body_sent_on_100_continue_arrives(digests: ServerProcess) -> None:
    request = scoring_request(b"0123456789", "Expect: 100-continue")
    head, body = request[:-10], request[-10:]

    with digests.connect() as connection:
        connection.sendall(head)
        assert read_until(connection, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        response = parse_response(read_to_end(connection))

    assert (response.status, response.json()) == (200, digest(b"0123456789"))


def test_a_body_sent_without_waiting_for_100_continue_gets_one_answer(
    digests: ServerProcess,
) -> None:
    answer = digests.raw(scoring_request(b"0123456789", "Expect: 100-continue"))

    assert answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 100 "))
    assert answer.count(b"HTTP/1.1 200 ") == 1
    assert answer.count(b"HTTP/1.1 100 ") <= 1


def test_a_body_that_is_too_large_is_not_asked_for(limited: ServerProcess) -> None:
    head = f"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: {11 * MIB}\r\n"

    answer = limited.raw(f"{head}Expect: 100-continue\r\n\r\n".encode())

    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("sent", "part"),
    [
        pytest.param(b"POST /score HT", "header", id="half a request line"),
        pytest.param(b"POST /score HTTP/1.1\r\nHost: x\r\n", "header", id="half a header"),
        pytest.param(scoring_request(b"0123456789")[:-3], "body", id="half a body"),
        pytest.param(chunked([b"01"], end=b""), "body", id="half a chunked body"),
    ],
)
def test_a_client_that_stops_sending_is_told_so(
    hurried: ServerProcess, sent: bytes, part: str
) -> None:
    response = exchange(hurried, sent)

    assert response.status == 408
    message = f"The request's {part} did not arrive within 0.5 seconds."
    assert response.json() == {"message": message}


def test_a_header_that_trickles_in_is_not_waited_for(hurried: ServerProcess) -> None:
    with hurried.connect() as connection:
        connection.settimeout(0.1)
        answer = b""
        for byte in b"GET / HTTP/1.1\r\nX-Slow: " + b"x" * 40:
            connection.sendall(bytes([byte]))
            try:
                answer = connection.recv(65536)
            except TimeoutError:
                continue
            break

    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_body_that_keeps_coming_is_waited_for(hurried: ServerProcess) -> None:
    request = scoring_request(b"0123456789")
    with hurried.connect() as connection:
        connection.sendall(request[:-10])
        for byte in request[-10:]:
            connection.settimeout(0.15)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            connection.sendall(bytes([byte]))
        connection.settimeout(10)
        response = parse_response(read_to_end(connection))

    assert response.json() == digest(b"0123456789")


def test_read_timeouts_are_counted(start_server: StartServer) -> None:
    server = start_server("raw_digests_body.py", "--header_timeout", "0.2")

    assert exchange(server, b"GET / HT").status == 408

    assert metric(server, "azml_rejected_requests_total", reason="read_timeout") == 1


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(chunked([], end=b"xyz\r\nabc\r\n0\r\n\r\n"), id="no size"),
        pytest.param(chunked([], end=b"-3\r\nabc\r\n0\r\n\r\n"), id="negative size"),
        pytest.param(chunked([], end=b"3\r\nabcd\r\n0\r\n\r\n"), id="wrong size"),
        pytest.param(chunked([], end=b"fffffffffffffffff\r\nabc"), id="absurd size"),
    ],
)
def test_a_malformed_chunk_is_refused(digests: ServerProcess, request_bytes: bytes) -> None:
    before = len(lines_of(digests.cwd / "calls"))

    response = exchange(digests, request_bytes, half_close=True)

    assert response.status in (400, 413)
    assert response.json()["message"]
    assert len(lines_of(digests.cwd / "calls")) == before


def test_the_client_of_a_refused_upload_reads_the_answer_with_http_client(
    limited: ServerProcess,
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", limited.port, timeout=20)

    connection.request("POST", "/score", body=b"x" * (30 * MIB))
    response = connection.getresponse()

    assert response.status == 413
    connection.close()
