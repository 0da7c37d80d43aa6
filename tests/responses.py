"""Answers of an HTTP server, read to their end and kept as they came."""

from __future__ import annotations

import http.client
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


class Headers:
    """Response headers: names in any case, several values a name, in the order received."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields = fields

    def get_all(self, name: str) -> list[str]:
        """Return every value sent under `name`."""
        return [value for key, value in self._fields if key.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """Return the first value sent under `name`, if any."""
        values = self.get_all(name)
        return values[0] if values else None

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(f"no header `{name}` in {self!r}")
        return value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.get_all(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._fields)

    def __repr__(self) -> str:
        return repr(self._fields)


@dataclass(frozen=True)
class Response:
    """One answer, read to its end."""

    status: int
    reason: str
    version: int
    headers: Headers
    body: bytes

    @property
    def text(self) -> str:
        """The body as UTF-8 text."""
        return self.body.decode("utf-8")

    def json(self) -> Any:
        """Return the parsed body; NaN and Infinity are refused, as a browser would."""
        return json.loads(self.body, parse_constant=_refuse_constant)


def _refuse_constant(constant: str) -> Any:
    raise ValueError(f"`{constant}` is not JSON")


def read_response(source: http.client.HTTPResponse) -> Response:
    """Read an answer of `http.client` to its end."""
    headers = Headers(source.getheaders())
    return Response(source.status, source.reason, source.version, headers, source.read())


def parse_response(raw: bytes, method: str = "GET") -> Response:
    """Parse the bytes of one answer, as `ServerProcess.raw` returns them.

    Raises:
        http.client.HTTPException: the bytes are no complete HTTP answer.
    """

    class _Socket:
        def makefile(self, _mode: str) -> io.BytesIO:
            return io.BytesIO(raw)

    source = http.client.HTTPResponse(_Socket(), method=method)  # type: ignore[arg-type]
    source.begin()
    return read_response(source)
