"""The little of HTTP that a client of measurements has to read."""

from __future__ import annotations

import re
from dataclasses import dataclass

_STATUS = re.compile(rb"HTTP/1\.([01]) (\d{3})")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"


@dataclass(frozen=True)
class Reply:
    """A whole answer.

    Attributes:
        status: Its status.
        body: Its body, chunks joined.
        stays_open: Whether another request may follow on the connection.
    """

    status: int
    body: bytes
    stays_open: bool


def parse(received: bytes, *, ended: bool = False) -> Reply | None:
    """The answer that was received, or `None` while it is not whole.

    Args:
        received: Everything since the request was sent.
        ended: Whether the server has closed the connection.

    Raises:
        ValueError: It is no HTTP, or ended too early.
    """
    head, separator, body = received.partition(b"\r\n\r\n")
    if not separator:
        if ended:
            raise ValueError(f"the connection was closed behind {received[:200]!r}")
        return None
    status = _STATUS.match(head)
    if status is None:
        raise ValueError(f"no HTTP: {head[:200]!r}")
    stays_open = status[1] == b"1" and not ended and not _CLOSE.search(head)
    length = _LENGTH.search(head)
    if length is not None:
        whole = len(body) >= int(length[1])
    elif _CHUNKED.search(head):
        whole = body.endswith(_LAST_CHUNK)
        body = _joined(body) if whole else body
    else:
        return Reply(int(status[2]), body, stays_open=False) if ended else None
    if not whole and ended:
        raise ValueError(f"the connection was closed behind {len(body)} bytes of the body")
    return Reply(int(status[2]), body, stays_open) if whole else None


def _joined(body: bytes) -> bytes:
    content = bytearray()
    while True:
        size, _, rest = body.partition(b"\r\n")
        count = int(size.split(b";")[0], 16)
        if not count:
            return bytes(content)
        content += rest[:count]
        body = rest[count + 2 :]
