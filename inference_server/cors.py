"""CORS: which origins browsers may call from, and the headers that say so."""

from __future__ import annotations

import re
from typing import Any

from inference_server.replies import Headers

ALLOWED_METHODS = ("GET", "POST")

_REGEX_SIGNS = ("*", "\\", "]", "?", "$", "^", "[", "(", ")", "|", "+")


class CorsPolicy:
    """The origins of `--access_control_allow_origins`.

    An entry matches a whole origin: exactly (case-insensitively), or as a regular expression if it
    looks like one, or, when it has no scheme, by host and port. `*` allows all.

    Raises:
        ValueError: An entry looks like a regular expression, but is none.
    """

    def __init__(self, origins: str) -> None:
        self.entries = [entry.strip() for entry in origins.split(",") if entry.strip()]
        self._any = "*" in self.entries
        self._exact = {entry.lower() for entry in self.entries}
        self._patterns = [
            _pattern(entry)
            for entry in self.entries
            if entry != "*" and any(sign in entry for sign in _REGEX_SIGNS)
        ]

    def allows(self, origin: str) -> bool:
        """Whether pages of this origin may read answers."""
        lowered = origin.lower()
        return (
            self._any
            or lowered in self._exact
            or lowered.partition("://")[2] in self._exact
            or any(pattern.fullmatch(origin) for pattern in self._patterns)
        )

    def add_to(self, headers: Headers, environ: dict[str, Any]) -> None:
        """Add the headers for a request's origin; none when it has none or is not allowed.

        A script that allows origins by itself has the last word.
        """
        origin = environ.get("HTTP_ORIGIN")
        if not origin or not self.allows(origin):
            return
        if any(name.lower() == "access-control-allow-origin" for name, _ in headers):
            return
        headers.append(("Access-Control-Allow-Origin", origin))
        method = environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD", "").upper()
        if environ["REQUEST_METHOD"] == "OPTIONS" and method in ALLOWED_METHODS:
            requested = environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS")
            if requested:
                headers.append(("Access-Control-Allow-Headers", requested))
            headers.append(("Access-Control-Allow-Methods", ", ".join(ALLOWED_METHODS)))
        headers.append(("Vary", "Origin"))


def _pattern(entry: str) -> re.Pattern[str]:
    try:
        return re.compile(entry, re.IGNORECASE)
    except re.error as error:
        raise ValueError(
            f"`{entry}` is read as a regular expression, but is none: {error} "
            "(`.*` stands for any characters)"
        ) from None
