"""HTTP/1.x framing of answers (RFC 9112): status line, the server's own headers, chunks."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

from gunicorn import SERVER

from inference_server.replies import Reply

LAST_CHUNK = b"0\r\n\r\n"

_HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "te", "trailers", "transfer-encoding",
    "upgrade", "server", "date",
})  # fmt: skip
"""Headers that speak of this connection, or that the server sets itself."""


class Framing:
    """How one answer is put on the wire.

    Args:
        request: gunicorn's parsed request.
        reply: The answer; its headers were checked to be sendable.
        keep_alive: Whether the server would use the connection again.
    """

    __slots__ = ("close", "head", "is_chunked", "sends_body")

    def __init__(self, request: Any, reply: Reply, *, keep_alive: bool) -> None:
        code = reply.code
        # RFC 9110 6.4.1: HEAD, 1xx, 204 and 304 have no body whatever their headers say.
        self.sends_body = (
            request.method != "HEAD" and code >= 200 and code not in (204, 304)  # noqa: PLR2004
        )
        has_length = reply.stream is None or reply.has("content-length")
        self.is_chunked = self.sends_body and not has_length and request.version >= (1, 1)
        self.close = (
            not keep_alive
            or (not has_length and not self.is_chunked and self.sends_body)
            or request.should_close()
        )
        headers = reply.headers
        if reply.from_script:
            headers = [(k, v) for k, v in headers if k.lower() not in _HOP_BY_HOP]
        major, minor = request.version
        lines = [
            f"HTTP/{major}.{minor} {reply.status}\r\nServer: {SERVER}\r\nDate: {_http_date()}\r\n"
            f"Connection: {'close' if self.close else 'keep-alive'}\r\n"
        ]
        if self.is_chunked:
            lines.append("Transfer-Encoding: chunked\r\n")
        lines.extend([f"{name}: {value}\r\n" for name, value in headers])
        lines.append("\r\n")
        self.head = "".join(lines).encode("latin-1")

    def chunk(self, data: bytes) -> bytes:
        """A piece of a streamed body as it goes over the wire."""
        return b"%x\r\n%b\r\n" % (len(data), data) if self.is_chunked else data


class _Clock:
    """Formats a second's date only once."""

    def __init__(self) -> None:
        self._second = 0
        self._date = ""

    def __call__(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._date = formatdate(second, usegmt=True)
            self._second = second
        return self._date


_http_date = _Clock()
