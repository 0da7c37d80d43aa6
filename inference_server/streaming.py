"""Generators returned by `run()` as streamed answers.

bytes are sent as they are, str as text, anything else as NDJSON (one JSON value a line); a client
that accepts `text/event-stream` gets server-sent events instead.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, overload

from inference_server.encoding import UnserialisableError, encode_json
from inference_server.replies import RUN_FAILED, Reply, status_line

EVENT_STREAM = "text/event-stream"

_END = object()


class _Started(Iterator[Any]):
    """An iterator whose first item was already fetched, so that early errors can still be 500s."""

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items
        self.first: Any = next(items, _END)
        self._pending = self.first is not _END

    def __next__(self) -> Any:
        if self._pending:
            self._pending = False
            return self.first
        if self.first is _END:
            raise StopIteration
        return next(self._items)

    def close(self) -> None:
        """Close the generator behind: its `finally` blocks run now."""
        close = getattr(self._items, "close", None)
        if close is not None:
            close()


class SteppedIterator(AsyncIterator[bytes]):
    """An ordinary iterator as an asynchronous one, for a `run()` on an event loop.

    Each item is made on the loop's thread, as `run()` itself is; between items others get a turn.
    """

    def __init__(self, items: Iterator[bytes]) -> None:
        self._items = items

    async def __anext__(self) -> bytes:
        await asyncio.sleep(0)
        for item in self._items:
            return item
        raise StopAsyncIteration

    def close(self) -> None:
        """Close the iterator behind: its `finally` blocks run now."""
        close = getattr(self._items, "close", None)
        if close is not None:
            close()

    async def aclose(self) -> None:
        """The same for code that knows asynchronous generators."""
        self.close()


class _StartedAsync(AsyncIterator[Any]):
    def __init__(self, items: AsyncIterator[Any], first: Any) -> None:
        self._items = items
        self.first = first
        self._pending = first is not _END

    async def __anext__(self) -> Any:
        if self._pending:
            self._pending = False
            return self.first
        if self.first is _END:
            raise StopAsyncIteration
        return await self._items.__anext__()

    async def aclose(self) -> None:
        """Close the generator behind: its `finally` blocks run now."""
        close = getattr(self._items, "aclose", None)
        if close is not None:
            await close()


async def _start_async(items: AsyncIterator[Any]) -> _StartedAsync:
    try:
        first = await items.__anext__()
    except StopAsyncIteration:
        first = _END
    return _StartedAsync(items, first)


@overload
def first_item(items: Iterator[Any]) -> _Started: ...
@overload
def first_item(items: AsyncIterator[Any]) -> Any: ...
def first_item(items: Any) -> Any:
    """The same iterator with its first item fetched (awaitable for an asynchronous one)."""
    return _start_async(items) if isinstance(items, AsyncIterator) else _Started(items)


def stream_reply(items: Any, environ: dict[str, Any], *, nan_as_null: bool) -> Reply:
    """The streamed answer for an iterator that went through `first_item`.

    Raises:
        UnserialisableError: The first item has no JSON form; it is not too late for a 500.
    """
    kind = _kind_of(items.first, environ)
    content_type, encode = _ENCODERS[kind]

    def to_bytes(item: Any) -> bytes:
        return encode(item, nan_as_null)

    if items.first is not _END:
        try:
            to_bytes(items.first)
        except UnserialisableError:
            if isinstance(items, _Started):
                items.close()
            raise
    chunks = (
        _encoded_async(items, to_bytes)
        if isinstance(items, AsyncIterator)
        else _encoded(items, to_bytes)
    )
    headers = [("Content-Type", content_type), (RUN_FAILED, "False")]
    if kind == "events":
        headers.append(("Cache-Control", "no-cache"))
    return Reply(status_line(200), headers, stream=chunks)


def _kind_of(first: Any, environ: dict[str, Any]) -> str:
    if EVENT_STREAM in environ.get("HTTP_ACCEPT", ""):
        return "events"
    if isinstance(first, bytes | bytearray):
        return "bytes"
    return "text" if isinstance(first, str) else "lines"


def _json_line(item: Any, nan_as_null: bool) -> bytes:
    return encode_json(item, nan_as_null=nan_as_null) + b"\n"


def _text(item: Any, nan_as_null: bool) -> bytes:
    if isinstance(item, bytes | bytearray):
        return bytes(item)
    if isinstance(item, str):
        return item.encode(errors="replace")
    return encode_json(item, nan_as_null=nan_as_null)


def _event(item: Any, nan_as_null: bool) -> bytes:
    if isinstance(item, bytes | bytearray):
        item = bytes(item).decode(errors="replace")
    text = item if isinstance(item, str) else encode_json(item, nan_as_null=nan_as_null).decode()
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "".join(f"data: {line}\n" for line in lines).encode(errors="replace") + b"\n"


_ENCODERS: dict[str, tuple[str, Callable[[Any, bool], bytes]]] = {
    "events": (EVENT_STREAM, _event),
    "bytes": ("application/octet-stream", _text),
    "text": ("text/plain; charset=utf-8", _text),
    "lines": ("application/x-ndjson", _json_line),
}


def error_event(content_type: str, error: dict[str, Any]) -> bytes:
    """What is sent when a stream breaks off, in formats that have a place for it."""
    body = json.dumps({"error": error})
    if content_type == EVENT_STREAM:
        return f"event: error\ndata: {body}\n\n".encode()
    return f"{body}\n".encode() if content_type == "application/x-ndjson" else b""


def _encoded(items: Any, to_bytes: Callable[[Any], bytes]) -> Iterator[bytes]:
    try:
        for item in items:
            yield to_bytes(item)
    finally:
        items.close()


async def _encoded_async(items: Any, to_bytes: Callable[[Any], bytes]) -> AsyncIterator[bytes]:
    try:
        async for item in items:
            yield to_bytes(item)
    finally:
        await items.aclose()
