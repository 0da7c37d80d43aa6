"""A request as a value, and the asking of it once."""

from __future__ import annotations

import http.client
from dataclasses import dataclass

HOST = "127.0.0.1"
OK = 200
BODY = b'{"data": [[1, 2, 3, 4]]}'
"""One row of four numbers, which is also the payload of MLServer's own iris benchmark."""

JSON = "application/json"


@dataclass(frozen=True)
class Request:
    """What is sent; a body makes it a POST.

    Attributes:
        path: With a leading slash.
        body: JSON, or nothing for a GET.
        accept: Media type that is asked for, if any.
    """

    path: str = "/score"
    body: bytes = BODY
    accept: str = ""

    @property
    def method(self) -> str:
        """POST with a body, else GET."""
        return "POST" if self.body else "GET"

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the content."""
        headers = {"Content-Type": JSON} if self.body else {}
        return {**headers, "Accept": self.accept} if self.accept else headers

    def encoded(self, *, keep_alive: bool = True) -> bytes:
        """The bytes on the wire."""
        headers = {
            "Host": HOST,
            "Connection": "keep-alive" if keep_alive else "close",
            **self.headers,
            **({"Content-Length": str(len(self.body))} if self.body else {}),
        }
        lines = [f"{self.method} {self.path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


def ask(port: int, request: Request, timeout_s: float) -> tuple[int, bytes]:
    """Status and body of one answer, on a connection of its own.

    Raises:
        OSError: There was none.
        http.client.HTTPException: What came is not HTTP.
    """
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout_s)
    try:
        connection.request(request.method, request.path, request.body or None, request.headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
