"""Return values of `run()` as JSON text.

What `json.dumps` writes is written as `json.dumps` writes it. Beyond that: numpy arrays and
scalars, pandas objects, dates and times, Decimal and UUID (as strings), bytes (base64), sets,
dataclasses, enums, paths and pydantic models, at any depth.
"""

from __future__ import annotations

import binascii
import dataclasses
import datetime
import json
import math
from collections.abc import Callable, Collection, Mapping, Set
from os import PathLike, fspath
from typing import Any

MAX_DEPTH = 200
"""Deeper nesting is refused: it is almost always a cycle, and clients could not read it."""


class UnserialisableError(TypeError):
    """A return value, or a part of it, has no JSON form; `path` leads to it."""

    def __init__(self, message: str, path: str) -> None:
        super().__init__(message)
        self.path = path


def _default(value: Any) -> Any:
    return _simpler(value, "$")


def _encoder(*, allow_nan: bool) -> Callable[[Any], str]:
    """`json.dumps` in its default spelling, with the C encoder made once instead of per value.

    It does not look for cycles: those end at the interpreter's limit of recursion.
    """
    encoder = json.JSONEncoder(allow_nan=allow_nan, default=_default)
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return encoder.encode
    encode = make(
        None,
        _default,
        json.encoder.encode_basestring_ascii,
        None,
        encoder.key_separator,
        encoder.item_separator,
        encoder.sort_keys,
        encoder.skipkeys,
        allow_nan,
    )
    return lambda value: "".join(encode(value, 0))


_strict = _encoder(allow_nan=False)
_literal = _encoder(allow_nan=True)


def encode_json(value: Any, *, nan_as_null: bool = True) -> bytes:
    """A value as JSON, in the spelling of `json.dumps` (ASCII only, `, ` and `: `).

    Args:
        value: Whatever `run()` returned.
        nan_as_null: Write NaN and the infinities as null; else as literals that are not JSON.

    Raises:
        UnserialisableError: A part of the value has no JSON form.
    """
    encode = _strict if nan_as_null else _literal
    try:
        return encode(value).encode("ascii")
    except Exception:  # noqa: BLE001 - the values' own methods can raise anything; now find out where
        plain = _plain(value, "$", nan_as_null, 0)
    return encode(plain).encode("ascii")


def _plain(value: Any, path: str, nan_as_null: bool, depth: int) -> Any:
    """The value rebuilt from dicts, lists, strings, numbers, booleans and None."""
    if depth > MAX_DEPTH:
        raise UnserialisableError(f"nested deeper than {MAX_DEPTH} levels, or a cycle", "$")
    try:
        return _plain_step(value, path, nan_as_null, depth)
    except UnserialisableError:
        raise
    except Exception as error:
        raise UnserialisableError(
            f"a value of type `{type(value).__name__}` could not be turned into JSON: "
            f"{type(error).__name__} was raised",
            path,
        ) from error


def _plain_step(value: Any, path: str, nan_as_null: bool, depth: int) -> Any:  # noqa: PLR0911 - one per kind
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return _plain_integer(value, path)
    if isinstance(value, float):
        return None if nan_as_null and not math.isfinite(value) else float(value)
    if isinstance(value, Mapping):
        keyed = ((_key(key, path), item) for key, item in value.items())
        return {key: _plain(item, f"{path}.{key}", nan_as_null, depth + 1) for key, item in keyed}
    if isinstance(value, list | tuple | Set):
        return [
            _plain(item, f"{path}[{index}]", nan_as_null, depth + 1)
            for index, item in enumerate(value)
        ]
    return _plain(_simpler(value, path), path, nan_as_null, depth + 1)


def _key(key: Any, path: str) -> str:
    """A JSON object's key, spelled as `json.dumps` spells the keys it knows."""
    if isinstance(key, str):
        return str.__str__(key)
    if key is None or isinstance(key, bool | int | float):
        return json.dumps(key)
    simple = _simpler(key, path)
    if simple is None or isinstance(simple, str | int | float):
        return _key(simple, path)
    raise UnserialisableError(f"a key of type `{type(key).__name__}` has no JSON form", path)


def _simpler(value: Any, path: str) -> Any:  # noqa: C901, PLR0911 - one per kind of value
    """One step from a rich type towards plain ones."""
    if isinstance(value, bytes | bytearray | memoryview):
        return binascii.b2a_base64(value, newline=False).decode("ascii")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, Collection):
        return _simpler_collection(value)
    if type(value).__name__ in _MISSING:
        return None
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, PathLike):
        return fspath(value)
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if getattr(getattr(value, "dtype", None), "kind", "") in _NUMPY_TIMES:
        return None if str(value) == "NaT" else str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    import msgspec  # only values of richer types need it

    try:
        return msgspec.to_builtins(value)
    except (TypeError, ValueError, OverflowError):
        name = type(value).__name__
        raise UnserialisableError(
            f"a value of type `{name}` has no JSON form: return numbers, strings, lists, dicts, "
            "numpy or pandas objects, dates, dataclasses, or an AMLResponse",
            path,
        ) from None


def _simpler_collection(value: Any) -> Any:
    """Arrays, frames, series and other containers as lists and dicts."""
    if type(value).__name__ == "DataFrame" and hasattr(value, "to_dict"):
        return value.to_dict(orient="records")
    if getattr(getattr(value, "dtype", None), "kind", "") in _NUMPY_TIMES:
        return _without_missing_times(value.astype(str).tolist())
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if hasattr(value, "tolist"):
        return value.tolist()
    return dict(value) if isinstance(value, Mapping) else list(value)


def _without_missing_times(texts: Any) -> Any:
    if isinstance(texts, list):
        return [_without_missing_times(text) for text in texts]
    return None if texts == "NaT" else texts


def _plain_integer(value: int, path: str) -> int:
    try:
        int.__repr__(value)
    except ValueError:
        # Python does not write such numbers (sys.set_int_max_str_digits), nor do clients read them.
        raise UnserialisableError("an integer of thousands of digits", path) from None
    return int(value)


_NUMPY_TIMES = ("M", "m")
"""numpy's kinds of dtype for instants and durations."""

_MISSING = ("NaTType", "NAType")
"""pandas's types for a missing instant or value."""
