"""Answers on the wire, as an independent client reads them."""

from __future__ import annotations

import email.utils
import io
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_server.gunicorn_engine import framing
from inference_server.gunicorn_engine.framing import LAST_CHUNK, Framing
from inference_server.replies import Reply, json_reply
from tests.inference_server.support import few
from tests.responses import Response, parse_response


@dataclass
class Head:
    """What framing looks at in a request."""

    method: str = "POST"
    version: tuple[int, int] = (1, 1)
    closes: bool = False

    def should_close(self) -> bool:
        return self.closes


def stream_of(*headers: tuple[str, str], from_script: bool = False) -> Reply:
    return Reply("200 OK", list(headers), stream=iter([]), from_script=from_script)


def sent(
    head: Head, reply: Reply, *chunks: bytes, keep_alive: bool = True
) -> tuple[Framing, bytes]:
    """The framing of an answer and all of its bytes."""
    framing = Framing(head, reply, keep_alive=keep_alive)
    data = framing.head
    if framing.sends_body:
        data += reply.body + b"".join(framing.chunk(chunk) for chunk in chunks if chunk)
        data += LAST_CHUNK if framing.is_chunked else b""
    return framing, data


def read(head: Head, reply: Reply, *chunks: bytes, keep_alive: bool = True) -> Response:
    return parse_response(sent(head, reply, *chunks, keep_alive=keep_alive)[1], head.method)


def test_a_whole_answer_has_the_headers_of_its_connection():
    response = read(Head(), json_reply(b"[1]"))

    assert (response.status, response.reason, response.body) == (200, "OK", b"[1]")
    assert [name for name, _ in response.headers] == [
        "Server",
        "Date",
        "Connection",
        "Content-Type",
        "Content-Length",
        "x-ms-run-function-failed",
    ]
    assert response.headers["Connection"] == "keep-alive"
    assert email.utils.parsedate_to_datetime(response.headers["Date"]).tzinfo is not None


def test_an_old_client_gets_an_answer_in_its_own_version():
    assert read(Head(version=(1, 0)), json_reply(b"[1]")).version == 10


@pytest.mark.parametrize(
    ("head", "keep_alive", "closes"),
    [
        pytest.param(Head(), True, False, id="kept"),
        pytest.param(Head(), False, True, id="the server wants to close"),
        pytest.param(Head(closes=True), True, True, id="the client wants to close"),
    ],
)
def test_the_connection_is_kept_when_both_sides_want_it(head: Head, keep_alive: bool, closes: bool):
    framing, data = sent(head, json_reply(b""), keep_alive=keep_alive)

    assert framing.close is closes
    assert (b"Connection: close\r\n" in data) is closes


def test_a_stream_goes_out_in_chunks():
    response = read(Head(), stream_of(), b"one", b"", b"two" * 100)

    assert (response.body, response.headers["Transfer-Encoding"]) == (
        b"one" + b"two" * 100,
        "chunked",
    )


def test_an_old_client_gets_a_stream_that_ends_with_the_connection():
    framing, data = sent(Head(version=(1, 0)), stream_of(), b"one", b"two")

    assert (framing.is_chunked, framing.close) == (False, True)
    assert data.endswith(b"\r\n\r\nonetwo")


def test_a_stream_of_known_length_goes_out_as_it_is():
    framing, data = sent(Head(), stream_of(("Content-Length", "6")), b"one", b"two")

    assert (framing.is_chunked, framing.close) == (False, False)
    assert parse_response(data).body == b"onetwo"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        pytest.param(Head("HEAD"), "200 OK", id="HEAD"),
        pytest.param(Head(), "204 NO CONTENT", id="204"),
        pytest.param(Head(), "304 NOT MODIFIED", id="304"),
    ],
)
@pytest.mark.parametrize("streamed", [True, False])
def test_an_answer_without_a_body_sends_none(head: Head, status: str, streamed: bool):
    reply = Reply(status, [], b"" if streamed else b"body", iter([]) if streamed else None)

    framing, data = sent(head, reply, b"chunk")

    assert (framing.sends_body, framing.is_chunked, framing.close) == (False, False, False)
    assert data.endswith(b"\r\n\r\n")


def test_headers_of_the_connection_are_not_the_scripts_to_set():
    reply = Reply(
        "200 OK",
        [
            ("Server", "mine"),
            ("date", "today"),
            ("Connection", "upgrade"),
            ("Transfer-Encoding", "chunked"),
            ("X-Own", "1"),
            ("Content-Length", "0"),
        ],
        from_script=True,
    )

    headers = read(Head(), reply).headers

    assert headers.get_all("X-Own") == ["1"]
    for name in ("Server", "Date", "Connection"):
        assert len(headers.get_all(name)) == 1
    assert headers["Server"] != "mine"
    assert "Transfer-Encoding" not in headers


def test_the_date_follows_the_clock(monkeypatch: pytest.MonkeyPatch):
    dates = []
    for now in (0.0, 0.9, 86400.0):
        monkeypatch.setattr(framing.time, "time", lambda now=now: now)  # type: ignore[attr-defined]
        dates.append(read(Head(), json_reply(b"")).headers["Date"])

    assert dates == [
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Fri, 02 Jan 1970 00:00:00 GMT",
    ]


@few
@given(st.lists(st.binary(max_size=100)), st.sampled_from([(1, 0), (1, 1)]), st.booleans())
def test_any_stream_comes_out_as_it_went_in(
    chunks: list[bytes], version: tuple[int, int], sized: bool
):
    length = str(sum(map(len, chunks)))
    reply = stream_of(*([("Content-Length", length)] if sized else []))

    assert read(Head(version=version), reply, *chunks).body == b"".join(chunks)


@few
@given(st.binary(), st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_any_body_comes_out_as_it_went_in(body: bytes, value: str):
    reply = json_reply(body)
    reply.headers.append(("X-Value", value))

    response = read(Head(), reply)

    assert (response.body, response.headers["X-Value"].strip()) == (body, value.strip())
    assert io.BytesIO(response.body).read() == body
