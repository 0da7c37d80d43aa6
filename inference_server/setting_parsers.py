"""Turns the text of a setting, or a JSON value of the config file, into the value in force.

Each parser raises `ValueError` with the expected type and range.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

Parser = Callable[[Any], Any]


def text(value: Any) -> str:
    """Any string; config files must hold a JSON string."""
    if not isinstance(value, str):
        raise ValueError("Input should be a valid string")
    return value


def integer(minimum: int, maximum: int | None = None) -> Parser:
    """A whole number within bounds, also from an integral float or a numeric string."""
    bounds = f"{minimum} to {maximum}" if maximum is not None else f"{minimum} or more"

    def parse(value: Any) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, str):
            try:
                value = int(value.strip())
            except ValueError:
                raise ValueError(
                    "Input should be a valid integer, unable to parse string as an integer "
                    f"(expected {bounds})"
                ) from None
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"Input should be a valid integer (expected {bounds})")
        if value < minimum or (maximum is not None and value > maximum):
            raise ValueError(f"Input should be a whole number from {bounds}, not {value}")
        return value

    return parse


def seconds(minimum: float) -> Parser:
    """A number of seconds, fractions allowed."""

    def parse(value: Any) -> float:
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not (number >= minimum and math.isfinite(number)):
            raise ValueError(f"Input should be a number of seconds, {minimum:g} or more")
        return number

    return parse


def milliseconds(minimum: float, maximum: float) -> Parser:
    """A number of milliseconds within bounds, fractions allowed."""

    def parse(value: Any) -> float:
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not minimum <= number <= maximum:
            raise ValueError(
                f"Input should be a number of milliseconds from {minimum:g} to {maximum:g}"
            )
        return number

    return parse


_SIZE = re.compile(r"\s*(\d+)\s*(b|kb|kib|k|mb|mib|m|gb|gib|g)?\s*", re.IGNORECASE)
_SIZE_FACTORS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def size(value: Any) -> int:
    """A number of bytes, with an optional unit (powers of 1024)."""
    match = _SIZE.fullmatch(str(value)) if not isinstance(value, bool) else None
    if match is None or int(match[1]) == 0:
        raise ValueError("Input should be a size in bytes, 1 or more, such as 104857600 or 100MiB")
    return int(match[1]) * _SIZE_FACTORS[(match[2] or "")[:1].lower()]


_TRUE = {"true", "1", "yes", "on", "t", "y"}
_FALSE = {"false", "0", "no", "off", "f", "n", ""}


def boolean(value: Any) -> bool:
    """True or false, in the spellings the reference accepts."""
    word = str(value).strip().lower()
    if isinstance(value, bool | int | str) and word in _TRUE | _FALSE:
        return word in _TRUE
    raise ValueError("Input should be a valid boolean, unable to interpret input")


def exactly_true(value: Any) -> bool:
    """True only for the word `true`, whatever its case: how launch switches are written."""
    return str(value).strip().lower() == "true"


def choice(*allowed: str) -> Parser:
    """One of a few words."""

    def parse(value: Any) -> str:
        word = str(value).strip().lower()
        if word not in allowed:
            raise ValueError(f"Input should be one of: {', '.join(allowed)}")
        return word

    return parse


def log_level(value: Any) -> str:
    """A level name of the `logging` module."""
    word = str(value).strip().upper()
    word = {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(word, word)
    if word not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
        raise ValueError("Input should be one of: DEBUG, INFO, WARNING, ERROR, CRITICAL")
    return word


def origins(value: Any) -> str:
    """A comma-separated list of origins, each exact or a regular expression."""
    listed = text(value)
    from inference_server.cors import CorsPolicy  # only paid for by those who set it

    CorsPolicy(listed)
    return listed
