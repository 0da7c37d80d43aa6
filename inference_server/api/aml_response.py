"""`AMLResponse`, with which scoring scripts choose status, headers and body themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flask

from inference_server.encoding import encode_json

RUN_FAILED = "x-ms-run-function-failed"


class AMLResponse(flask.Response):
    """A response of a scoring script.

    Args:
        message: The body: str or bytes as they are, an iterable of those is streamed, anything with
            `json_str` is encoded as JSON. None is the JSON object `{}`. A dict without `json_str`
            is encoded as JSON too: sending only its keys was never meant.
        status_code: An int from 100 to 999, or a string such as `404 Not Here`.
        response_headers: Names and values, each set as it is: commas do not split a value.
        json_str: Encode `message` as JSON.
        run_function_failed: Value of the header `x-ms-run-function-failed`.
    """

    def __init__(
        self,
        message: Any,
        status_code: int | str,
        response_headers: Mapping[str, str] | None = None,
        json_str: bool = False,
        run_function_failed: bool = False,
    ) -> None:
        as_json = json_str or message is None or isinstance(message, dict)
        body = encode_json({} if message is None else message) if as_json else message
        super().__init__(body, status=status_code, mimetype="application/json" if as_json else None)
        self.headers[RUN_FAILED] = str(bool(run_function_failed))
        for name, value in (response_headers or {}).items():
            if name.lower() == "set-cookie":
                self.headers.add(name, value)
            else:
                self.headers[name] = value
