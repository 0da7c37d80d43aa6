"""How a request's body or query becomes the arguments of `run()`: decided once, at start.

| mode   | chosen when                                             | `run` receives               |
|--------|---------------------------------------------------------|------------------------------|
| raw    | `@rawhttp`                                              | the HTTP request             |
| schema | `@input_schema` or `@output_schema` of inference-schema | the keys of the JSON body    |
| typed  | type hints that text alone cannot satisfy               | values checked against hints |
| text   | anything else                                           | the body as text             |
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qsl

import flask

from inference_server.errors import RequestError, ScriptError
from inference_server.inference_schema_support import payload_schemas, schema_function
from inference_server.openapi import UNDESCRIBED_PAYLOAD, PayloadSchemas
from inference_server.scoring_script import REQUEST_HEADERS, ScoringScript

Environ = dict[str, Any]


@dataclass(slots=True)
class ScoringInput:
    """What the client sent, before it is decoded."""

    environ: Environ
    body: bytes

    @property
    def method(self) -> str:
        """The HTTP method, upper case."""
        return str(self.environ["REQUEST_METHOD"])


class Binding(Protocol):
    """One mode."""

    description: str
    """The line logged at start."""
    schemas: PayloadSchemas

    def arguments(self, request: ScoringInput) -> dict[str, Any]:
        """The arguments of `run()`.

        Raises:
            RequestError: The request cannot be turned into arguments.
        """


def choose_binding(script: ScoringScript) -> Binding:
    """The mode for a script.

    Raises:
        ScriptError: `run` is decorated for two modes at once.
    """
    decorated = schema_function(script.run)
    if script.is_raw:
        if decorated is not None:
            raise ScriptError(
                "run() cannot be decorated with both @rawhttp and @input_schema",
                location=script.location,
            )
        return RawBinding(script)
    if decorated is not None:
        return SchemaBinding(script, payload_schemas(decorated))
    # msgspec is only paid for by scripts with type hints.
    if any(p.annotation is not p.empty for p in script.parameters) or len(script.parameters) > 1:
        from inference_server.typed_binding import typed_binding, wants_bytes

        return typed_binding(script) or TextBinding(script, as_bytes=wants_bytes(script))
    return TextBinding(script)


def headers_of(environ: Environ) -> dict[str, str]:
    """The request's headers, names in title case, as `request_headers` receives them."""
    headers: dict[str, str] = {}
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            headers[key[5:].replace("_", "-").title()] = value
        elif key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
            headers[key.replace("_", "-").title()] = value
    return headers


def query_values(environ: Environ) -> dict[str, Any]:
    """The query as a dict: JSON values where they parse, lists for repeated keys."""
    return _query(environ, _json_or_text)


def query_texts(environ: Environ) -> dict[str, Any]:
    """The query as a dict of the texts themselves, lists for repeated keys."""
    return _query(environ, str)


def _query(environ: Environ, read: Callable[[str], Any]) -> dict[str, Any]:
    query = environ.get("QUERY_STRING", "")
    if not query.isascii():
        # WSGI hands bytes over as if they were Latin-1; clients that do not quote send UTF-8.
        query = query.encode("latin-1", "replace").decode("utf-8", "replace")
    values: dict[str, list[Any]] = {}
    for key, text in parse_qsl(query, keep_blank_values=True):
        values.setdefault(key, []).append(read(text))
    return {key: found[0] if len(found) == 1 else found for key, found in values.items()}


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


class TextBinding:
    """The body as text for the first parameter; a query becomes a JSON object's text."""

    description = "run() is not decorated. Server will invoke it with the input in JSON string."
    schemas = UNDESCRIBED_PAYLOAD

    def __init__(self, script: ScoringScript, *, as_bytes: bool = False) -> None:
        self._name = script.parameters[0].name
        self._takes_headers = script.takes_headers
        self._as_bytes = as_bytes

    def arguments(self, request: ScoringInput) -> dict[str, Any]:
        """The decoded body under the first parameter's name."""
        arguments: dict[str, Any] = {self._name: self._input(request)}
        if self._takes_headers:
            arguments[REQUEST_HEADERS] = headers_of(request.environ)
        return arguments

    def _input(self, request: ScoringInput) -> str | bytes:
        if request.method == "GET":
            text = json.dumps(query_values(request.environ))
            return text.encode() if self._as_bytes else text
        if self._as_bytes:
            return request.body
        try:
            return request.body.decode()
        except UnicodeDecodeError as error:
            raise RequestError(
                HTTPStatus.BAD_REQUEST, f"Input cannot be decoded as UTF-8: {error}"
            ) from None


class RawBinding:
    """The HTTP request itself for the first parameter."""

    description = (
        "run() is decorated with @rawhttp. Server will invoke it with the flask request object."
    )
    schemas = UNDESCRIBED_PAYLOAD

    def __init__(self, script: ScoringScript) -> None:
        self._name = script.parameters[0].name
        self._takes_headers = script.takes_headers

    def arguments(self, request: ScoringInput) -> dict[str, Any]:
        """Flask's request proxy, which stands for the request of the calling thread."""
        arguments: dict[str, Any] = {self._name: flask.request}
        if self._takes_headers:
            arguments[REQUEST_HEADERS] = headers_of(request.environ)
        return arguments


class SchemaBinding:
    """The keys of the JSON body for the parameters; the decorators convert the values."""

    def __init__(self, script: ScoringScript, schemas: PayloadSchemas) -> None:
        names = ", ".join(p.name for p in script.parameters)
        self.description = (
            "run() is decorated with @input_schema. Server will invoke it with the following "
            f"arguments: {names}."
        )
        self.schemas = schemas
        self._parameters = script.parameters
        self._takes_headers = script.takes_headers

    def arguments(self, request: ScoringInput) -> dict[str, Any]:
        """One argument for each parameter that the body has a key for."""
        values = query_values(request.environ) if request.method == "GET" else _body_object(request)
        arguments: dict[str, Any] = {}
        for parameter in self._parameters:
            if parameter.name in values:
                arguments[parameter.name] = values[parameter.name]
            elif parameter.default is not parameter.empty:
                # The decorators look for every argument among those that are passed.
                arguments[parameter.name] = parameter.default
            else:
                raise RequestError(
                    HTTPStatus.BAD_REQUEST,
                    f"A value is not provided for the '{parameter.name}' parameter.",
                )
        if self._takes_headers:
            arguments[REQUEST_HEADERS] = headers_of(request.environ)
        return arguments


def _body_object(request: ScoringInput) -> dict[str, Any]:
    media_type = str(request.environ.get("CONTENT_TYPE") or "").partition(";")[0].strip().lower()
    is_json = media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )
    if not is_json:
        raise RequestError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Expects Content-Type to be application/json"
        )
    if not request.body:
        raise RequestError(
            HTTPStatus.BAD_REQUEST, "POST body is empty. Expecting a JSON dictionary."
        )
    values = _decode(json.loads, request.body)
    if not isinstance(values, dict):
        raise RequestError(HTTPStatus.BAD_REQUEST, "POST body should be a JSON dictionary.")
    return values


def _decode(decoder: Callable[[bytes], Any], body: bytes) -> Any:
    try:
        return decoder(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(
            HTTPStatus.BAD_REQUEST, f"POST body could not be decoded as JSON: {error}"
        ) from None
