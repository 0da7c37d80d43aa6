"""Arguments of `run()` from its type hints: decoded, checked and described by msgspec."""

from __future__ import annotations

import inspect
import json
import logging
import re
import typing
from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import NoneType
from typing import Any

import msgspec

from inference_server.binding import ScoringInput, headers_of, query_texts, query_values
from inference_server.errors import InvalidInputError, RequestError
from inference_server.openapi import PayloadSchemas
from inference_server.rich_types import from_json, is_frame, schema_of_type
from inference_server.scoring_script import REQUEST_HEADERS, ScoringScript

log = logging.getLogger("azmlinfsrv.user_script")

_TEXT_TYPES = (str, bytes, object, Any, inspect.Parameter.empty, NoneType)


def typed_binding(script: ScoringScript) -> TypedBinding | None:
    """The binding for a script's type hints, or None when it wants the body as text.

    As with the reference, a first parameter without a hint, or one that text satisfies (`str`,
    `bytes`, `Any`), receives the body as it is if no other parameter needs a value.
    """
    hints = _type_hints(script)
    first, *others = script.parameters
    wants_text = _accepts_text(hints.get(first.name, first.empty))
    if wants_text and all(p.default is not p.empty for p in others):
        return None
    return TypedBinding(script, hints)


def wants_bytes(script: ScoringScript) -> bool:
    """Whether the body's bytes satisfy the hint of the first parameter, and its text does not."""
    first = script.parameters[0]
    parts = _parts(_type_hints(script).get(first.name, first.empty))
    return bytes in parts and {*parts} <= {bytes, NoneType}


class TypedBinding:
    """Values of the JSON body, by name or as a whole, checked against the hints of `run`.

    With several parameters the body is an object of their names. With one parameter the body is its
    value; if that value is not itself an object, an object with the parameter's name is accepted
    too.
    """

    def __init__(self, script: ScoringScript, hints: Mapping[str, Any]) -> None:
        self._takes_headers = script.takes_headers
        types = {p.name: _checkable(hints.get(p.name, Any), p.name) for p in script.parameters}
        fields: list[Any] = [
            (p.name, types[p.name])
            if p.default is p.empty
            else (p.name, types[p.name] | msgspec.UnsetType, msgspec.UNSET)
            for p in sorted(script.parameters, key=lambda p: p.default is not p.empty)
        ]
        self._struct = msgspec.defstruct("run", fields)
        self._by_name = msgspec.json.Decoder(self._struct, dec_hook=from_json)
        single = script.parameters[0] if len(script.parameters) == 1 else None
        self._single = single.name if single else None
        self._is_object = bool(single) and _is_object(types[script.parameters[0].name])
        single_type = types[self._single] if self._single else Any
        self._single_type = single_type
        self._whole = msgspec.json.Decoder(single_type, dec_hook=from_json)
        self._is_frame = any(is_frame(part) for part in _parts(single_type))
        arguments = ", ".join(p.name for p in script.parameters)
        self.description = (
            "run() has type hints. Server will check the input against them and invoke it with the "
            f"following arguments: {arguments}."
        )
        body_type = single_type if self._single else self._struct
        self.schemas = PayloadSchemas(
            _schema(body_type), _schema(hints.get("return", Any)), is_json_schema=True
        )

    def arguments(self, request: ScoringInput) -> dict[str, Any]:
        """The checked values under the names of the parameters."""
        try:
            arguments = self._query(request) if request.method == "GET" else self._body(request)
        except msgspec.ValidationError as error:
            message, path = _message_and_path(str(error))
            raise InvalidInputError(message, path=path) from None
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise RequestError(
                HTTPStatus.BAD_REQUEST, f"POST body could not be decoded as JSON: {error}"
            ) from None
        if self._takes_headers:
            arguments[REQUEST_HEADERS] = headers_of(request.environ)
        return arguments

    def _body(self, request: ScoringInput) -> dict[str, Any]:
        body = _as_utf8(request.body)
        if not body.strip():
            raise RequestError(HTTPStatus.BAD_REQUEST, "POST body is empty. Expecting JSON.")
        if self._single and (self._is_object or not body.lstrip().startswith(b"{")):
            return {self._single: self._whole.decode(body)}
        if self._single and self._is_frame:
            values = msgspec.json.decode(body)
            if values.keys() != {self._single}:
                return {self._single: _convert(values, self._single_type)}
        return _given(self._by_name.decode(body))

    def _query(self, request: ScoringInput) -> dict[str, Any]:
        try:
            return self._converted(query_values(request.environ), strict=True)
        except msgspec.ValidationError as error:
            # `?name=123` is a number to JSON, but may be meant for a `name: str`.
            try:
                return self._converted(query_texts(request.environ), strict=False)
            except msgspec.ValidationError:
                raise error from None

    def _converted(self, values: dict[str, Any], *, strict: bool) -> dict[str, Any]:
        if self._single and self._is_object:
            return {self._single: _convert(values, self._single_type, strict=strict)}
        return _given(_convert(values, self._struct, strict=strict))


def _convert(values: Any, to: Any, *, strict: bool = True) -> Any:
    return msgspec.convert(values, to, strict=strict, dec_hook=from_json)


def _as_utf8(body: bytes) -> bytes:
    """The body without a byte order mark, transcoded if it is UTF-16 or UTF-32 (RFC 4627)."""
    if body[:1] in (b"\xef", b"\xff", b"\xfe", b"\0") or body[1:2] == b"\0":
        return body.decode(json.detect_encoding(body)).encode()
    return body


def _given(values: msgspec.Struct) -> dict[str, Any]:
    found = ((name, getattr(values, name)) for name in values.__struct_fields__)
    return {name: value for name, value in found if value is not msgspec.UNSET}


def _type_hints(script: ScoringScript) -> dict[str, Any]:
    run = inspect.unwrap(script.run)
    target: Callable[..., Any] = run if hasattr(run, "__code__") else type(run).__call__
    try:
        hints = typing.get_type_hints(target)
    except Exception as error:  # noqa: BLE001 - evaluating the user's annotations can raise anything
        log.warning("The type hints of run() are not used: %s: %s", type(error).__name__, error)
        return {}
    if script.batch is None:
        return hints
    from inference_server.batching.hints import item_hints

    return item_hints(script, hints)


def _accepts_text(hint: Any) -> bool:
    return all(any(part is kind for kind in _TEXT_TYPES) for part in _parts(hint))


def _parts(hint: Any) -> tuple[Any, ...]:
    """The alternatives of a union; a hint that is none is its only one."""
    return typing.get_args(hint) if _is_union(hint) else (hint,)


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) is typing.Union or type(hint).__name__ == "UnionType"


def _checkable(hint: Any, name: str) -> Any:
    """The hint, or Any with a warning when values cannot be checked against it."""
    try:
        msgspec.json.Decoder(hint)
        msgspec.json.schema(hint, schema_hook=schema_of_type)
    except Exception as error:  # noqa: BLE001 - the hints' own classes can raise anything
        log.warning("The type hint of %s is not checked: %s", name, error)
        return Any
    return hint


def _is_object(hint: Any) -> bool:
    schema = _schema(hint)
    definitions = schema.get("$defs", {})
    alternatives = schema.get("anyOf", [schema])
    resolved = [definitions.get(a.get("$ref", "").rpartition("/")[2], a) for a in alternatives]
    return any(a == {} or a.get("type") == "object" for a in resolved)


def _schema(hint: Any) -> dict[str, Any]:
    try:
        schema = msgspec.json.schema(hint, schema_hook=schema_of_type)
    except Exception as error:  # noqa: BLE001 - as above; only the OpenAPI documents need it
        log.debug("There is no JSON Schema for %s: %s", hint, error)
        return {}
    definitions = schema.setdefault("$defs", {})
    _hoist_definitions(schema, definitions)
    if not definitions:
        del schema["$defs"]
    return schema


def _hoist_definitions(node: Any, definitions: dict[str, Any]) -> None:
    """Move `$defs` that pydantic nests inside a schema to the top, where its references point."""
    if isinstance(node, dict):
        nested = node.get("$defs")
        if isinstance(nested, dict) and nested is not definitions:
            definitions.update(node.pop("$defs"))
        for value in list(node.values()):
            _hoist_definitions(value, definitions)
    elif isinstance(node, list):
        for value in node:
            _hoist_definitions(value, definitions)


_AT = re.compile(r" - at `(\$[^`]*|key in [^`]*)`")


def _message_and_path(text: str) -> tuple[str, str]:
    """Split msgspec's message from the path (`$.x[2]`) that it ends with."""
    paths = [part if part.startswith("$") else "$" for part in _AT.findall(text)]
    path = "$" + "".join(part[1:] for part in reversed(paths))
    missing = re.match(r"Object missing required field `(\w+)`", text)
    return _AT.sub("", text), f"{path}.{missing[1]}" if missing else path
