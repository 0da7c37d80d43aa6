"""Types in the hints of `run()` that msgspec leaves to others: pydantic, numpy and pandas."""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger("azmlinfsrv.user_script")

_ARRAY, _FRAME = "numpy.ndarray", "pandas.DataFrame"


def is_frame(kind: Any) -> bool:
    """Whether a type hint is pandas's DataFrame."""
    return _qualified_name(kind) == _FRAME


def _qualified_name(kind: Any) -> str:
    module = (getattr(kind, "__module__", None) or "").partition(".")[0]
    return f"{module}.{getattr(kind, '__qualname__', '')}"


def from_json(kind: type, value: Any) -> Any:
    """A decoded JSON value as a value of such a type.

    Raises:
        ValueError: It does not fit; the message may end with the path to the part that does not.
    """
    if hasattr(kind, "model_validate"):
        return _validate_with_pydantic(kind, value)
    name = _qualified_name(kind)
    if name == _ARRAY:
        return _array(value)
    if name == _FRAME:
        return _frame(value)
    raise _unknown(kind)


def _array(value: Any) -> Any:
    import numpy

    if isinstance(value, dict | str | None):
        raise ValueError(f"Expected `array`, got `{_JSON_NAMES[type(value)]}`")
    array = numpy.asarray(value)
    if array.dtype == object:
        raise ValueError("Expected an array of numbers, of strings or of booleans")
    return array


def _frame(value: Any) -> Any:
    import pandas

    if not isinstance(value, dict | list):
        raise ValueError("Expected an array of records, or an object of columns")
    try:
        if isinstance(value, dict) and {"columns", "data"} <= value.keys():
            return pandas.DataFrame(value["data"], value.get("index"), value["columns"])
        return pandas.DataFrame(value)
    except Exception as error:  # noqa: BLE001 - pandas has no common base for what it raises
        raise ValueError(f"Expected what a DataFrame is made of: {error}") from None


_JSON_NAMES = {dict: "object", str: "str", type(None): "null"}


def _validate_with_pydantic(kind: Any, value: Any) -> Any:
    try:
        return kind.model_validate(value)
    except ValueError as error:
        problems = error.errors() if hasattr(error, "errors") else []
        if not problems:
            raise
        steps = (f"[{s}]" if isinstance(s, int) else f".{s}" for s in problems[0]["loc"])
        raise ValueError(f"{problems[0]['msg']} - at `${''.join(steps)}`") from None


def schema_of_type(kind: type) -> dict[str, Any]:
    """JSON Schema of such a type.

    Raises:
        ValueError: It is none of them.
    """
    if hasattr(kind, "model_json_schema"):
        return _pydantic_schema(kind)
    name = _qualified_name(kind)
    if name == _ARRAY:
        return {"type": "array", "items": {}}
    if name == _FRAME:
        return {"type": "array", "items": {"type": "object"}}
    raise _unknown(kind)


def _unknown(kind: type) -> ValueError:
    return ValueError(f"JSON has no form for the type `{kind.__qualname__}`")


def _pydantic_schema(kind: Any) -> dict[str, Any]:
    try:
        schema: dict[str, Any] = kind.model_json_schema(ref_template="#/$defs/{model}")
    except Exception as error:  # noqa: BLE001 - a field without a JSON Schema is no reason to fail
        log.warning("There is no JSON Schema for %s: %s", kind.__qualname__, error)
        return {"type": "object"}
    return schema
