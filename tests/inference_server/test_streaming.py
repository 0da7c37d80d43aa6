"""Generators as streamed answers: which format, and that no item is lost."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_server.encoding import UnserialisableError
from inference_server.replies import Reply
from inference_server.streaming import (
    EVENT_STREAM,
    SteppedIterator,
    error_event,
    first_item,
    stream_reply,
)
from tests.inference_server.support import few

EVENTS = {"HTTP_ACCEPT": f"text/html, {EVENT_STREAM};q=0.9"}


class Source:
    """A generator that tells whether it was closed."""

    def __init__(self, *items: Any) -> None:
        self._items = items
        self.closed = False

    def items(self) -> Iterator[Any]:
        try:
            yield from self._items
        finally:
            self.closed = True

    async def items_async(self) -> AsyncIterator[Any]:
        try:
            for item in self._items:
                yield item
        finally:
            self.closed = True


def reply_of(*items: Any, environ: dict[str, Any] | None = None, nan_as_null: bool = True) -> Reply:
    started = first_item(Source(*items).items())
    return stream_reply(started, environ or {}, nan_as_null=nan_as_null)


def chunks_of(reply: Reply) -> list[bytes]:
    assert isinstance(reply.stream, Iterator)
    return list(reply.stream)


@pytest.mark.parametrize(
    ("items", "content_type", "chunks"),
    [
        pytest.param(
            [{"a": 1}, None, "x", math.nan],
            "application/x-ndjson",
            [b'{"a": 1}\n', b"null\n", b'"x"\n', b"null\n"],
            id="objects as lines",
        ),
        pytest.param(
            ["é", "b", b"\xff", 5],
            "text/plain; charset=utf-8",
            ["é".encode(), b"b", b"\xff", b"5"],
            id="text as it is",
        ),
        pytest.param(
            [b"\x00\xff", bytearray(b"c"), "d"],
            "application/octet-stream",
            [b"\x00\xff", b"c", b"d"],
            id="bytes as they are",
        ),
        pytest.param([], "application/x-ndjson", [], id="nothing"),
        pytest.param(["\ud800"], "text/plain; charset=utf-8", [b"?"], id="half a character"),
    ],
)
def test_the_first_item_decides_the_format(
    items: list[Any], content_type: str, chunks: list[bytes]
):
    reply = reply_of(*items)

    assert (reply.status, reply.headers) == (
        "200 OK",
        [("Content-Type", content_type), ("x-ms-run-function-failed", "False")],
    )
    assert chunks_of(reply) == chunks


def test_a_client_may_ask_for_events():
    reply = reply_of({"a": 1}, "two\r\nlines\rand a third", b"\xffb", environ=EVENTS)

    assert reply.headers == [
        ("Content-Type", EVENT_STREAM),
        ("x-ms-run-function-failed", "False"),
        ("Cache-Control", "no-cache"),
    ]
    assert chunks_of(reply) == [
        b'data: {"a": 1}\n\n',
        b"data: two\ndata: lines\ndata: and a third\n\n",
        "data: \ufffdb\n\n".encode(),
    ]


def test_nan_is_written_as_configured():
    assert chunks_of(reply_of([math.nan], nan_as_null=False)) == [b"[NaN]\n"]


def test_a_first_item_without_a_json_form_is_refused_before_anything_is_sent():
    source = Source(object(), 2)

    with pytest.raises(UnserialisableError):
        stream_reply(first_item(source.items()), {}, nan_as_null=True)

    assert source.closed


def test_a_later_item_without_a_json_form_breaks_the_stream_off():
    source = Source(1, object())
    reply = stream_reply(first_item(source.items()), {}, nan_as_null=True)
    assert isinstance(reply.stream, Iterator)

    assert next(reply.stream) == b"1\n"
    with pytest.raises(UnserialisableError):
        next(reply.stream)

    assert source.closed


def test_closing_the_stream_closes_the_generator():
    source = Source(1, 2)
    reply = stream_reply(first_item(source.items()), {}, nan_as_null=True)
    stream: Any = reply.stream

    next(stream)
    stream.close()

    assert source.closed


def test_what_a_generator_raises_first_is_raised_at_once():
    def failing() -> Iterator[int]:
        yield 1 // 0

    with pytest.raises(ZeroDivisionError):
        first_item(failing())


def test_an_iterator_that_cannot_be_closed_is_read_to_its_end():
    started = first_item(iter([1, 2]))

    assert list(started) == [1, 2]
    assert next(started, "end") == "end"
    started.close()


def test_an_empty_iterator_stays_at_its_end():
    started = first_item(iter([]))

    assert [next(started, "end"), next(started, "end")] == ["end", "end"]


async def collect(stream: Any) -> list[Any]:
    return [item async for item in stream]


@pytest.mark.parametrize("items", [(), (1,), (1, 2, 3)])
def test_an_asynchronous_generator_is_streamed_too(items: tuple[int, ...]):
    async def main() -> list[bytes]:
        started = await first_item(Source(*items).items_async())
        reply = stream_reply(started, {}, nan_as_null=True)
        return await collect(reply.stream)

    assert asyncio.run(main()) == [f"{item}\n".encode() for item in items]


def test_closing_an_asynchronous_stream_closes_the_generator():
    source = Source(1, 2)

    async def main() -> None:
        reply = stream_reply(await first_item(source.items_async()), {}, nan_as_null=True)
        stream: Any = reply.stream
        await stream.__anext__()
        await stream.aclose()

    asyncio.run(main())

    assert source.closed


def test_a_first_item_of_an_asynchronous_generator_is_refused_too():
    async def main() -> None:
        started = await first_item(Source(object()).items_async())
        with pytest.raises(UnserialisableError):
            stream_reply(started, {}, nan_as_null=True)
        await started.aclose()

    asyncio.run(main())


def test_an_asynchronous_iterator_that_cannot_be_closed_is_read_to_its_end():
    class Plain:
        def __init__(self) -> None:
            self._left = [2, 1]

        def __aiter__(self) -> Plain:
            return self

        async def __anext__(self) -> int:
            if not self._left:
                raise StopAsyncIteration
            return self._left.pop()

    async def main() -> list[int]:
        started = await first_item(Plain())
        found = await collect(started)
        await started.aclose()
        return found

    assert asyncio.run(main()) == [1, 2]


def test_an_ordinary_iterator_can_be_read_step_by_step():
    async def main() -> list[bytes]:
        return await collect(SteppedIterator(iter([b"a", b"b"])))

    assert asyncio.run(main()) == [b"a", b"b"]


def test_closing_a_stepped_iterator_closes_the_generator():
    source = Source(b"a", b"b")

    async def main() -> None:
        stepped = SteppedIterator(source.items())
        await stepped.__anext__()
        await stepped.aclose()

    asyncio.run(main())
    SteppedIterator(iter([])).close()

    assert source.closed


@pytest.mark.parametrize(
    ("content_type", "sent"),
    [
        pytest.param(EVENT_STREAM, b'event: error\ndata: {"error": {"type": "E"}}\n\n', id="event"),
        pytest.param("application/x-ndjson", b'{"error": {"type": "E"}}\n', id="line"),
        pytest.param("text/plain; charset=utf-8", b"", id="text has no place for it"),
    ],
)
def test_a_stream_that_breaks_off_says_so_where_the_format_can(content_type: str, sent: bytes):
    assert error_event(content_type, {"type": "E"}) == sent


JSON_ITEMS = st.lists(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    )
)


@few
@given(JSON_ITEMS)
def test_lines_decode_to_the_items(items: list[Any]):
    body = b"".join(chunks_of(reply_of([], *items)))

    assert [json.loads(line) for line in body.splitlines()] == [[], *items]


@few
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_text_decodes_to_the_items(items: list[str]):
    assert b"".join(chunks_of(reply_of("", *items))).decode() == "".join(items)


@few
@given(st.lists(st.binary()))
def test_bytes_are_the_items(items: list[bytes]):
    assert b"".join(chunks_of(reply_of(b"", *items))) == b"".join(items)


@few
@given(JSON_ITEMS)
def test_events_decode_to_the_items(items: list[Any]):
    chunks = chunks_of(reply_of(*items, environ=EVENTS))

    assert len(chunks) == len(items)
    for chunk, item in zip(chunks, items, strict=True):
        assert chunk.endswith(b"\n\n")
        lines = chunk[:-2].decode().split("\n")
        assert [line[:6] for line in lines] == ["data: "] * len(lines)
        text = "\n".join(line[6:] for line in lines)
        if isinstance(item, str):
            sent = item.encode(errors="replace").decode()
            assert text == sent.replace("\r\n", "\n").replace("\r", "\n")
        else:
            assert json.loads(text) == item
