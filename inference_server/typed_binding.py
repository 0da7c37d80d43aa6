"""Arguments of `run()` from its type hints: decoded, checked and described by msgspec."""

from __future__ import annotations

import inspect
import logging
import re
import typing
from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import NoneType
from typing import Any

import msgspec

from inference_server.binding import ScoringInput, headers_of, query_values
from inference_server.errors import InvalidInputError, RequestError
from inference_server.openapi import PayloadSchemas
from inference_server.scoring_script import REQUEST_HEADERS, ScoringScript

log = logging.getLogger("azmlinfsrv.user_script")

_TEXT_TYPES = {str, bytes, object, Any, inspect.Parameter.empty, NoneType}


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
        self._by_name = msgspec.json.Decoder(self._struct, dec_hook=_from_json)
        single = script.parameters[0] if len(script.parameters) == 1 else None
        self._single = single.name if single else None
        self._is_object = bool(single) and _is_object(types[script.parameters[0].name])
        single_type = types[self._single] if self._single else Any
        self._single_type = single_type
        self._whole = msgspec.json.Decoder(single_type, dec_hook=_from_json)
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
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RequestError(
                HTTPStatus.BAD_REQUEST, f"POST body could not be decoded as JSON: {error}"
            ) from None
        if self._takes_headers:
            arguments[REQUEST_HEADERS] = headers_of(request.environ)
        return arguments

    def _body(self, request: ScoringInput) -> dict[str, Any]:
        body = request.body.removeprefix(b"\xef\xbb\xbf")
        if not body.strip():
            raise RequestError(HTTPStatus.BAD_REQUEST, "POST body is empty. Expecting JSON.")
        if self._single and (self._is_object or not body.lstrip().startswith(b"{")):
            return {self._single: self._whole.decode(body)}
        return _given(self._by_name.decode(body))

    def _query(self, request: ScoringInput) -> dict[str, Any]:
        values = query_values(request.environ)
        if self._single and self._is_object:
            value = msgspec.convert(values, self._single_type, dec_hook=_from_json)
            return {self._single: value}
        return _given(msgspec.convert(values, self._struct, dec_hook=_from_json))


def _given(values: msgspec.Struct) -> dict[str, Any]:
    found = ((name, getattr(values, name)) for name in values.__struct_fields__)
    return {name: value for name, value in found if value is not msgspec.UNSET}


def _type_hints(script: ScoringScript) -> dict[str, Any]:
    run = inspect.unwrap(script.run)
    target: Callable[..., Any] = run if hasattr(run, "__code__") else type(run).__call__
    try:
        return typing.get_type_hints(target)
    except Exception as error:  # noqa: BLE001 - evaluating the user's annotations can raise anything
        log.warning("The type hints of run() are not used: %s: %s", type(error).__name__, error)
        return {}


def _accepts_text(hint: Any) -> bool:
    parts = typing.get_args(hint) if _is_union(hint) else (hint,)
    return all(part in _TEXT_TYPES for part in parts)


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) is typing.Union or type(hint).__name__ == "UnionType"


def _checkable(hint: Any, name: str) -> Any:
    """The hint, or Any with a warning when values cannot be checked against it."""
    try:
        msgspec.json.Decoder(hint)
        msgspec.json.schema(hint, schema_hook=_schema_of_type)
    except TypeError as error:
        log.warning("The type hint of %s is not checked: %s", name, error)
        return Any
    return hint


def _is_object(hint: Any) -> bool:
    schema = _schema(hint)
    reference = schema.get("$ref", "").rpartition("/")[2]
    resolved = schema.get("$defs", {}).get(reference, schema)
    return resolved == {} or bool(resolved.get("type") == "object")


def _schema(hint: Any) -> dict[str, Any]:
    try:
        schema = msgspec.json.schema(hint, schema_hook=_schema_of_type)
    except TypeError:
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


def _qualified_name(kind: type) -> str:
    return f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"


def _from_json(kind: type, value: Any) -> Any:
    """Values of types that msgspec leaves to others: pydantic, numpy and pandas."""
    if hasattr(kind, "model_validate"):
        return _validate_with_pydantic(kind, value)
    name = _qualified_name(kind)
    if name == "numpy.ndarray":
        import numpy

        return numpy.asarray(value)
    if name == "pandas.DataFrame":
        import pandas

        if isinstance(value, dict) and {"columns", "data"} <= value.keys():
            return pandas.DataFrame(value["data"], value.get("index"), value["columns"])
        return pandas.DataFrame(value)
    if isinstance(value, kind):
        return value
    raise ValueError(f"Expected `{kind.__qualname__}`, which JSON cannot express")


def _validate_with_pydantic(kind: Any, value: Any) -> Any:
    try:
        return kind.model_validate(value)
    except ValueError as error:
        problems = error.errors() if hasattr(error, "errors") else []
        if not problems:
            raise
        steps = (f"[{s}]" if isinstance(s, int) else f".{s}" for s in problems[0]["loc"])
        raise ValueError(f"{problems[0]['msg']} - at `${''.join(steps)}`") from None


def _schema_of_type(kind: type) -> dict[str, Any]:
    if hasattr(kind, "model_json_schema"):
        return kind.model_json_schema(ref_template="#/$defs/{model}")  # type: ignore[no-any-return]
    name = _qualified_name(kind)
    if name == "numpy.ndarray":
        return {"type": "array", "items": {}}
    if name == "pandas.DataFrame":
        return {"type": "array", "items": {"type": "object"}}
    return {}


_AT = re.compile(r" - at `(\$[^`]*|key in [^`]*)`")


def _message_and_path(text: str) -> tuple[str, str]:
    """Split msgspec's message from the path (`$.x[2]`) that it ends with."""
    paths = [part if part.startswith("$") else "$" for part in _AT.findall(text)]
    path = "$" + "".join(part[1:] for part in reversed(paths))
    missing = re.match(r"Object missing required field `(\w+)`", text)
    return _AT.sub("", text), f"{path}.{missing[1]}" if missing else path
