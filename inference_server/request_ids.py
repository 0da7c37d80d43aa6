"""Request ids and W3C trace context: read from the request, put into answer and log."""

from __future__ import annotations

import logging
import os
import random
import re
from http import HTTPStatus
from typing import Any, NamedTuple

from inference_server.errors import RequestError
from inference_server.replies import Headers
from inference_server.request_context import RequestLabels

log = logging.getLogger("azmlinfsrv")

MAX_LENGTH = 100

_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
)
"""Header of W3C Trace Context, level 1: version, trace id, parent id, flags; zeros are no ids."""

_DEPRECATED = (
    "x-ms-request-id header has been deprecated and will be removed from future versions of the "
    "server. Please use x-ms-client-request-id."
)


class IdTooLongError(RequestError):
    """A request id is longer than `MAX_LENGTH`; the answer carries the ids that are not."""

    def __init__(self, names: str, ids: RequestIds | None) -> None:
        super().__init__(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"{names} must not exceed {MAX_LENGTH} characters",
        )
        self.ids = ids


class RequestIds(NamedTuple):
    """The ids of one request; `legacy` is `x-ms-request-id`."""

    request_id: str
    legacy: str | None = None
    client: str | None = None
    trace_id: str | None = None
    traceparent: str | None = None
    echoed_trace: str | None = None

    @property
    def labels(self) -> RequestLabels:
        """What log lines say of the request."""
        return RequestLabels(self.request_id, self.trace_id)

    def add_to(self, headers: Headers, *, replace: bool) -> None:
        """Set the id headers of an answer; `replace` takes out any that the script set."""
        if replace:
            headers[:] = [(name, value) for name, value in headers if name.lower() not in _OURS]
        headers.append(("x-request-id", self.request_id))
        if self.legacy:
            headers.append(("x-ms-request-id", self.legacy))
        if self.client:
            headers.append(("x-ms-client-request-id", self.client))
        if self.traceparent:
            headers.append(("traceparent", self.traceparent))
        if self.echoed_trace:
            headers.append(("TraceId", self.echoed_trace))


_OURS = frozenset({"x-request-id", "x-ms-request-id", "x-ms-client-request-id"})


def read_ids(environ: dict[str, Any]) -> RequestIds:
    """The ids of a request; a missing or empty request id is made up.

    Raises:
        IdTooLongError: One of them is too long.
    """
    request_id = environ.get("HTTP_X_REQUEST_ID") or _new_id()
    if len(request_id) > MAX_LENGTH:
        raise IdTooLongError("x-request-id", None)
    legacy = environ.get("HTTP_X_MS_REQUEST_ID")
    client = environ.get("HTTP_X_MS_CLIENT_REQUEST_ID")
    if legacy is None:
        legacy = request_id if client is None else client
    else:
        log.warning(_DEPRECATED)
        client = legacy if client is None else client
    if len(legacy) > MAX_LENGTH or len(client or "") > MAX_LENGTH:
        raise IdTooLongError(
            "x-ms-request-id and x-ms-client-request-id", RequestIds(request_id=request_id)
        )
    traceparent = environ.get("HTTP_TRACEPARENT")
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    return RequestIds(
        request_id,
        legacy,
        client,
        match[1] if match else None,
        traceparent if match else None,
        environ.get("HTTP_TRACEID"),
    )


def _new_id() -> str:
    """A random (version 4) UUID of RFC 9562, without the cost of the `uuid` module's objects."""
    bits = _random.getrandbits(128) & _NOT_VERSION_AND_VARIANT | _VERSION_4_AND_VARIANT
    digits = f"{bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


_NOT_VERSION_AND_VARIANT = ~(0xF << 76 | 0x3 << 62)
_VERSION_4_AND_VARIANT = 0x4 << 76 | 0x2 << 62

# Ids need to be distinct, not secret. A generator of our own, since scripts seed the shared one.
_random = random.Random()  # noqa: S311
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.seed)
