"""Turns the bytes of a connection into complete requests, with gunicorn's own parser."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from gunicorn.http import errors as http_errors
from gunicorn.http.body import ChunkedReader, LengthReader
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader

from inference_server.errors import BodyTooLargeError, RequestError

MAX_HEAD = 256 * 1024
"""A head that has not ended after so many bytes is refused; gunicorn's own limits are below it."""

MAX_KEPT_HEADS = 32
LONGEST_KEPT_HEAD = 2048
"""Bytes; longer heads mostly differ from one another anyway."""

_HEAD_END = b"\r\n\r\n"
_PARSER_ERRORS = (http_errors.ParseException, OSError, StopIteration)
"""What gunicorn's parser raises; in gunicorn 25 some of its errors are no ParseException."""

_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")


class Progress(enum.Enum):
    """How far the next request of a connection has arrived."""

    NOTHING = "nothing"
    HEAD = "head"
    BODY = "body"
    COMPLETE = "complete"


@dataclass
class CompleteRequest:
    """A parsed request and its whole, decoded body.

    `head` is the same object as that of the request before when the client sent the same bytes.
    """

    head: Any
    body: bytes


class ParsedHeads:
    """Heads parsed lately, for clients that open a connection for each request.

    Args:
        cfg: gunicorn's configuration; with its PROXY protocol every connection has its own first
            line, so nothing is kept.
    """

    def __init__(self, cfg: Any) -> None:
        proxied = getattr(cfg, "proxy_protocol", "off")
        self._room = 0 if proxied not in (False, "off", None) else MAX_KEPT_HEADS
        self._heads: dict[tuple[Any, bytes], Any] = {}

    def find(self, address: Any, text: bytes) -> Any:
        """The head that these bytes from this client's machine stand for, or None."""
        return self._heads.get((_machine(address), text))

    def keep(self, address: Any, text: bytes, head: Any) -> None:
        """Remember a head that does not change while it is served."""
        if len(text) > LONGEST_KEPT_HEAD or not self._room:
            return
        if len(self._heads) >= self._room:
            del self._heads[next(iter(self._heads))]
        self._heads[_machine(address), text] = head


def _machine(address: Any) -> Any:
    """What a parsed head depends on: whether this machine may speak for others."""
    return address[0] if isinstance(address, tuple) else address


class IncomingRequests:
    """Collects bytes until a request is complete; one per connection.

    Args:
        cfg: gunicorn's configuration, with the limits of the head.
        address: The client's address, as the socket gives it.
        max_body_size: Bytes a body may have.
        heads: Shared by the connections of one event loop.
    """

    def __init__(
        self, cfg: Any, address: Any, max_body_size: int, heads: ParsedHeads | None = None
    ) -> None:
        self._cfg = cfg
        self._address = address
        self._max_body_size = max_body_size
        self._heads = heads or ParsedHeads(cfg)
        self._buffer = bytearray()
        self._head: Any = None
        self._count = 0
        self._last_text = b""
        self._last_head: Any = None
        self._scanned = 0
        self._body_length: int | None = 0

    def feed(self, data: bytes) -> None:
        """Add what the socket had."""
        self._buffer += data

    @property
    def progress(self) -> Progress:
        """How far the next request has arrived, as of the last `next_request`."""
        if self._head is not None:
            return Progress.BODY
        return Progress.HEAD if self._buffer else Progress.NOTHING

    @property
    def buffered(self) -> int:
        """Bytes that belong to no answered request yet."""
        return len(self._buffer)

    @property
    def wants_continue(self) -> bool:
        """The client waits for `100 Continue` before it sends the body; true only once."""
        head = self._head
        if head is None or not head._expected_100_continue:
            return False
        head._expected_100_continue = False
        return True

    def next_request(self) -> CompleteRequest | None:
        """The next complete request, or None while bytes are missing.

        Raises:
            RequestError: The request cannot be served; the connection cannot be used any more.
        """
        if self._head is None and not self._parse_head():
            return None
        body = self._take_body()
        if body is None:
            return None
        head, self._head, self._scanned = self._head, None, 0
        return CompleteRequest(head, body)

    def _parse_head(self) -> bool:
        buffer = self._buffer
        while buffer[:2] == b"\r\n":
            del buffer[:2]
        end = buffer.find(_HEAD_END, max(0, self._scanned - 3))
        if end < 0 and not self._is_hopeless():
            self._scanned = len(buffer)
            return False
        stop = end + len(_HEAD_END) if end >= 0 else len(buffer)
        text = bytes(buffer[:stop])
        # Clients that keep a connection send the same header again and again.
        if text != self._last_text:
            found = self._heads.find(self._address, text)
            self._last_head = head = found or self._parsed(text)
            # The two kinds of request whose parsed header changes while it is served.
            is_reusable = not head._expected_100_continue and not isinstance(
                head.body.reader, ChunkedReader
            )
            self._last_text = text if is_reusable else b""
            if is_reusable and found is None:
                self._heads.keep(self._address, text, head)
        del buffer[:stop]
        self._scanned = 0
        self._head = self._last_head
        self._check_length(self._head.body.reader)
        return True

    def _parsed(self, text: bytes) -> Any:
        try:
            self._count += 1
            unreader = IterUnreader(iter([text]))
            return Request(self._cfg, unreader, self._address, self._count)
        except http_errors.NoMoreData:
            raise _refusal_of_start(len(text)) from None
        except _PARSER_ERRORS as error:
            raise _refusal(error) from None

    def _is_hopeless(self) -> bool:
        """Whether more bytes cannot make this a request; parsing it now gives the reason."""
        buffer = self._buffer
        # Half of a blank line, which may come before a request.
        if bytes(buffer[:2]) == b"\r":
            return False
        return bool(buffer) and (
            not 65 <= buffer[0] <= 90  # noqa: PLR2004 - methods are upper-case ASCII letters
            or len(buffer) > MAX_HEAD
            or _BARE_LINE_FEED.search(buffer, max(0, self._scanned - 1)) is not None
        )

    def _check_length(self, reader: Any) -> None:
        if isinstance(reader, ChunkedReader):
            self._body_length = None
        else:
            self._body_length = reader.length if isinstance(reader, LengthReader) else 0
            if self._body_length > self._max_body_size:
                raise BodyTooLargeError(self._max_body_size)

    def _take_body(self) -> bytes | None:
        buffer = self._buffer
        if self._body_length is None:
            return self._take_chunked_body()
        length = self._body_length
        if len(buffer) < length:
            return None
        if len(buffer) == length:
            body = bytes(buffer)
            buffer.clear()
        else:
            body = bytes(buffer[:length])
            del buffer[:length]
        return body

    def _take_chunked_body(self) -> bytes | None:
        if len(self._buffer) > 2 * self._max_body_size + MAX_HEAD:
            raise BodyTooLargeError(self._max_body_size)
        self._scanned, stop = find_chunked_end(self._buffer, self._scanned)
        if stop is None:
            return None
        unreader = IterUnreader(iter([bytes(self._buffer[:stop])]))
        reader = ChunkedReader(self._head, unreader)
        try:
            body: bytes = reader.read(self._max_body_size + 1)
        except http_errors.NoMoreData:
            raise RequestError(HTTPStatus.BAD_REQUEST, "The chunked body is malformed.") from None
        except _PARSER_ERRORS as error:
            raise _refusal(error) from None
        if len(body) > self._max_body_size:
            raise BodyTooLargeError(self._max_body_size)
        del self._buffer[:stop]
        return body


def find_chunked_end(buffer: bytearray, position: int) -> tuple[int, int | None]:
    """Where a chunked body ends.

    Only finds the end; gunicorn's reader then checks and decodes what is before it.

    Args:
        buffer: The body's bytes so far.
        position: Where the last search got to: the start of a chunk's size line.

    Returns:
        Where to go on searching, and the offset behind the body or None when it is incomplete.
    """
    while True:
        line_end = buffer.find(b"\r\n", position)
        if line_end < 0:
            # A size line this long is malformed; what is there is enough to say so.
            return position, len(buffer) if len(buffer) - position > MAX_HEAD else None
        try:
            size = int(bytes(buffer[position:line_end]).partition(b";")[0].strip(), 16)
        except ValueError:
            return position, len(buffer)
        if size <= 0:
            if buffer[line_end : line_end + 4] == _HEAD_END:
                return position, line_end + 4
            trailer_end = buffer.find(_HEAD_END, line_end)
            return position, trailer_end + 4 if trailer_end >= 0 else None
        following = line_end + 2 + size + 2
        if following > len(buffer):
            return position, None
        position = following


_STATUS_OF_ERROR = (
    (http_errors.LimitRequestLine, HTTPStatus.REQUEST_URI_TOO_LONG),
    (http_errors.LimitRequestHeaders, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
    (http_errors.UnsupportedTransferCoding, HTTPStatus.NOT_IMPLEMENTED),
    (http_errors.ForbiddenProxyRequest, HTTPStatus.FORBIDDEN),
    (http_errors.ExpectationFailed, HTTPStatus.EXPECTATION_FAILED),
)


def _refusal_of_start(length: int) -> RequestError:
    if length > MAX_HEAD:
        return RequestError(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"The request's header is longer than {MAX_HEAD} bytes.",
        )
    return RequestError(
        HTTPStatus.BAD_REQUEST,
        "Invalid HTTP request: it does not start with a method (is the client speaking TLS?)",
    )


def _refusal(error: Exception) -> RequestError:
    for kind, status in _STATUS_OF_ERROR:
        if isinstance(error, kind):
            return RequestError(status, str(error))
    return RequestError(HTTPStatus.BAD_REQUEST, f"Invalid HTTP request: {error}")
