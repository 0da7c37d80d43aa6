"""From the bytes of a connection to requests, however the bytes arrive."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from gunicorn.config import Config
from hypothesis import example, given
from hypothesis import strategies as st

from inference_server.errors import RequestError
from inference_server.gunicorn_engine.incoming import (
    MAX_HEAD,
    CompleteRequest,
    IncomingRequests,
    ParsedHeads,
    Progress,
    find_chunked_end,
)
from tests.inference_server.support import few

CONFIG = Config()
LIMIT = 1000
POST = b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST /score HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
GET = b"GET /?a=1 HTTP/1.1\r\nHost: a\r\n\r\n"


def incoming(limit: int = LIMIT) -> IncomingRequests:
    return IncomingRequests(CONFIG, ("127.0.0.1", 1), limit)


def requests_in(*pieces: bytes, limit: int = LIMIT) -> list[CompleteRequest]:
    """Every request that is complete after each piece, as a connection takes them."""
    requests = incoming(limit)
    found: list[CompleteRequest] = []
    for piece in pieces:
        requests.feed(piece)
        while (request := requests.next_request()) is not None:
            found.append(request)
            assert len(found) <= len(b"".join(pieces))
    return found


def summary(request: CompleteRequest) -> tuple[str, str, str, bytes]:
    head = request.head
    return head.method, head.path, head.query, request.body


def refusal(*pieces: bytes, limit: int = LIMIT) -> RequestError:
    with pytest.raises(RequestError) as caught:
        requests_in(*pieces, limit=limit)
    return caught.value


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in zip(edges, edges[1:], strict=False)]  # noqa: RUF007


def chunked(body: bytes, sizes: list[int], extension: bytes = b"", trailer: bytes = b"") -> bytes:
    parts: list[bytes] = []
    position = 0
    for size in [*sizes, len(body)]:
        piece = body[position : position + size]
        if piece:
            parts.append(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece))
            position += len(piece)
    return CHUNKED + b"".join(parts) + b"0\r\n" + trailer + b"\r\n"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(GET, ("GET", "/", "a=1", b""), id="without body"),
        pytest.param(POST, ("POST", "/score", "", b"hello"), id="with length"),
        pytest.param(
            POST.replace(b": 5", b": 0")[:-5], ("POST", "/score", "", b""), id="length zero"
        ),
        pytest.param(
            chunked(b"hello", [2]), ("POST", "/score", "", b"hello"), id="in chunks"
        ),
        pytest.param(chunked(b"", []), ("POST", "/score", "", b""), id="in no chunks"),
        pytest.param(
            chunked(b"hello", [2], trailer=b"X-T: 1\r\n"), ("POST", "/score", "", b"hello"),
            id="with trailer",
        ),
        pytest.param(b"\r\n\r\n" + GET, ("GET", "/", "a=1", b""), id="blank lines before"),
        pytest.param(GET.replace(b"1.1", b"1.0"), ("GET", "/", "a=1", b""), id="HTTP/1.0"),
    ],
)  # fmt: skip
def test_a_request_is_found_whole_and_byte_by_byte(
    data: bytes, expected: tuple[str, str, str, bytes]
):
    assert [summary(r) for r in requests_in(data)] == [expected]
    assert [summary(r) for r in requests_in(*split(data, list(range(len(data)))))] == [expected]


def test_a_header_that_is_sent_again_is_parsed_once_and_the_body_is_the_new_one():
    again = POST.replace(b"hello", b"again")

    first, second, third = requests_in(POST, again, GET)

    assert [summary(r) for r in (first, second, third)] == [
        ("POST", "/score", "", b"hello"),
        ("POST", "/score", "", b"again"),
        ("GET", "/", "a=1", b""),
    ]
    assert first.head is second.head


@pytest.mark.parametrize(
    "request_text",
    [
        pytest.param(CHUNKED + b"2\r\nhi\r\n0\r\n\r\n", id="chunked"),
        pytest.param(POST.replace(b"Host", b"Expect: 100-continue\r\nHost"), id="expects continue"),
    ],
)
def test_a_header_that_changes_while_it_is_served_is_parsed_again(request_text: bytes):
    first, second = requests_in(request_text, request_text)

    assert first.head is not second.head
    assert summary(first) == summary(second)


def test_the_progress_follows_the_bytes():
    requests = incoming()
    seen: list[tuple[Progress, int]] = []

    for piece in (b"", POST[:10], POST[10:-2], POST[-2:] + GET[:3]):
        requests.feed(piece)
        request = requests.next_request()
        seen.append((requests.progress, requests.buffered))

    assert request is not None
    assert seen == [
        (Progress.NOTHING, 0),
        (Progress.HEAD, 10),
        (Progress.BODY, 3),
        (Progress.HEAD, 3),
    ]


def test_a_client_that_waits_is_told_to_continue_once():
    requests = incoming()
    head, body = POST[:-5], POST[-5:]
    requests.feed(head.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))

    assert requests.wants_continue is False
    assert requests.next_request() is None
    assert (requests.wants_continue, requests.wants_continue) == (True, False)

    requests.feed(body)
    request = requests.next_request()

    assert request is not None
    assert request.body == b"hello"


def test_a_body_of_just_the_allowed_size_is_taken():
    assert requests_in(POST, limit=5)[0].body == b"hello"
    assert requests_in(chunked(b"hello", [1, 1, 1]), limit=5)[0].body == b"hello"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(POST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, id="length beyond the limit"),
        pytest.param(
            chunked(b"hello", []), HTTPStatus.REQUEST_ENTITY_TOO_LARGE, id="chunk beyond the limit"
        ),
        pytest.param(
            chunked(b"hello", [1, 1, 1]), HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            id="chunks beyond the limit",
        ),
        pytest.param(
            CHUNKED + b"1\r\nx\r\n" * 100_000, HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            id="chunks without end",
        ),
    ],
)  # fmt: skip
def test_a_body_that_is_too_large_is_refused(data: bytes, status: HTTPStatus):
    error = refusal(data, limit=4)

    assert (error.status, error.message) == (
        status,
        "The body is larger than 4 bytes (--max_body_size).",
    )


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(b"\x16\x03\x01\x02\r\n\r\n", 400, id="TLS"),
        pytest.param(b"\x16\x03\x01", 400, id="start of TLS"),
        pytest.param(b"get / HTTP", 400, id="start in lower case"),
        pytest.param(b"get / HTTP/1.1\r\n\r\n", 400, id="lower case"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"X: %b\r\n" % (b"a" * 8000) * 40, 431, id="no end"),
        pytest.param(b"GET / HTTP/1.1\n\n", 400, id="bare line feeds"),
        pytest.param(b"GET /\r\n\r\n", 400, id="no version"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="HTTP/2"),
        pytest.param(b"GET / HTTP/1.1\r\nHost\r\n\r\n", 400, id="header without colon"),
        pytest.param(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, id="blank before the colon"),
        pytest.param(POST.replace(b": 5", b": -5"), 400, id="negative length"),
        pytest.param(POST.replace(b": 5", b": five"), 400, id="length in words"),
        pytest.param(POST.replace(b": 5", b": \xb2"), 400, id="a digit of its own kind"),
        pytest.param(
            POST.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n"), 400, id="two lengths"
        ),
        pytest.param(
            POST.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"), 400,
            id="length and chunks",
        ),
        pytest.param(CHUNKED.replace(b"chunked", b"br"), 501, id="unknown coding"),
        pytest.param(b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n", 414, id="long target"),
        pytest.param(
            b"GET / HTTP/1.1\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 431, id="long header"
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 101 + b"\r\n", 431, id="many headers"
        ),
        pytest.param(b"G" * (MAX_HEAD + 1), 414, id="endless line"),
        pytest.param(CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n", 400, id="size that is no number"),
        pytest.param(CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n", 400, id="negative size"),
        pytest.param(CHUNKED + b"\r\n\r\n", 400, id="no size"),
        pytest.param(CHUNKED + b"2\r\nhello\r\n0\r\n\r\n", 400, id="chunk longer than its size"),
        pytest.param(CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n", 400, id="size with a prefix"),
        pytest.param(CHUNKED + b"1" * (MAX_HEAD + 1), 400, id="endless size"),
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(data: bytes, status: int):
    assert refusal(data).status == status


def test_an_unfinished_request_is_waited_for():
    for data in (POST, chunked(b"hello", [2]), GET):
        assert [requests_in(data[:end]) for end in range(len(data))] == [[]] * len(data)


@pytest.mark.parametrize(
    ("buffer", "position", "expected"),
    [
        pytest.param(b"0\r\n\r\n", 0, (0, 5), id="empty"),
        pytest.param(b"5;a=b\r\nhello\r\n0\r\n\r\nrest", 0, (14, 19), id="with what follows"),
        pytest.param(b"5\r\nhel", 0, (0, None), id="inside a chunk"),
        pytest.param(b"5\r\nhello\r\n0\r\nX: 1\r\n", 0, (10, None), id="inside a trailer"),
        pytest.param(b"5\r\nhello\r\n0\r\nX: 1\r\n\r\n", 10, (10, 21), id="going on"),
        pytest.param(b"x\r\n", 0, (0, 3), id="malformed"),
        pytest.param(b"5", 0, (0, None), id="inside a size"),
    ],
)
def test_the_end_of_a_chunked_body_is_found(
    buffer: bytes, position: int, expected: tuple[int, int | None]
):
    assert find_chunked_end(bytearray(buffer), position) == expected


BODIES = st.binary(max_size=50)
CUTS = st.lists(st.integers(0, 500), max_size=6)


@st.composite
def valid_requests(draw: st.DrawFn) -> tuple[bytes, tuple[str, str, str, bytes]]:
    """The bytes of a request, and what is to be found in them."""
    body = draw(BODIES)
    path = draw(st.sampled_from(["/", "/score", "/a/b%20c"]))
    query = draw(st.sampled_from(["", "a=1&b=[2]"]))
    target = f"{path}?{query}" if query else path
    headers = draw(st.lists(st.sampled_from([b"X-A: 1\r\n", b"Accept: */*\r\n"]), max_size=3))
    head = b"POST %b HTTP/1.1\r\nHost: a\r\n%b" % (target.encode(), b"".join(headers))
    if draw(st.booleans()):
        data = head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    else:
        sizes = draw(st.lists(st.integers(1, 9), max_size=8))
        extension = draw(st.sampled_from([b"", b";a=b"]))
        coded = chunked(body, sizes, extension)[len(CHUNKED) :]
        data = head + b"Transfer-Encoding: chunked\r\n\r\n" + coded
    return data, ("POST", path, query, body)


@few
@given(valid_requests(), CUTS)
def test_any_split_of_a_request_gives_the_same_request(
    request_and_summary: tuple[bytes, tuple[str, str, str, bytes]], cuts: list[int]
):
    data, expected = request_and_summary

    assert [summary(r) for r in requests_in(*split(data, cuts))] == [expected]


@few
@given(st.lists(valid_requests(), max_size=4), CUTS)
def test_pipelined_requests_come_out_in_order(
    several: list[tuple[bytes, tuple[str, str, str, bytes]]], cuts: list[int]
):
    data = b"".join(data for data, _ in several)

    assert [summary(r) for r in requests_in(*split(data, cuts))] == [s for _, s in several]


GARBAGE = st.binary(max_size=200) | st.lists(
    st.sampled_from(
        [b"GET ", b"POST ", b"/ ", b"HTTP/1.1", b"\r\n", b"\r\n\r\n", b"\n", b"\r", b":", b" ",
         b"Host: a\r\n", b"Content-Length: 3\r\n", b"Content-Length: 99999\r\n", b"0", b"5",
         b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n", b"ff", b";", b"\x00",
         b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\n", b"hello", b"\xff", b"-", b"_", b"0x1",
         b"Connection: close\r\n", b"Transfer-Encoding: gzip, chunked\r\n", b"HTTP/9.9"]
    ),
    max_size=25,
).map(b"".join)  # fmt: skip


@few
@given(GARBAGE, CUTS)
@example(b"A: b\n", [])
@example(b"\r\n" * 50, [1, 2, 3])
def test_any_bytes_are_requests_or_refused(data: bytes, cuts: list[int]):
    try:
        requests_in(*split(data, cuts))
    except RequestError as error:
        status = int(error.status)
        assert 400 <= status < 600


@few
@given(st.sampled_from([POST, CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"]), st.data())
def test_any_damage_to_a_request_is_noticed_or_harmless(data: bytes, draw: st.DataObject):
    position = draw.draw(st.integers(0, len(data) - 1))
    damaged = data[:position] + draw.draw(st.binary(max_size=3)) + data[position + 1 :]

    try:
        requests_in(damaged)
    except RequestError as error:
        status = int(error.status)
        assert 400 <= status < 600


def test_a_head_is_parsed_once_for_all_connections_of_a_machine():
    heads = ParsedHeads(CONFIG)
    found = []
    for address in (("127.0.0.1", 1), ("127.0.0.1", 2), ("127.0.0.2", 1)):
        requests = IncomingRequests(CONFIG, address, LIMIT, heads)
        requests.feed(POST)
        request = requests.next_request()
        assert request is not None
        found.append(request)

    first, second, elsewhere = found
    assert second.head is first.head
    assert elsewhere.head is not first.head
    assert [request.body for request in found] == [b"hello"] * 3


def test_heads_that_change_while_they_are_served_are_not_shared():
    heads = ParsedHeads(CONFIG)
    found = []
    for _ in range(2):
        requests = IncomingRequests(CONFIG, ("127.0.0.1", 1), LIMIT, heads)
        requests.feed(CHUNKED + b"0\r\n\r\n")
        request = requests.next_request()
        assert request is not None
        found.append(request)

    assert found[0].head is not found[1].head
