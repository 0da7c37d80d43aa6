"""Type hints of a `run()` that takes lists, as hints for the one item that a request brings."""

from __future__ import annotations

import collections.abc
import typing
from collections.abc import Mapping
from typing import Any

from inference_server.errors import ScriptError
from inference_server.scoring_script import ScoringScript

_LISTS = (list, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)


def item_hints(script: ScoringScript, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The item's hint for each parameter that has one, and for what is returned.

    Raises:
        ScriptError: A parameter's hint is not that of a list.
    """
    items: dict[str, Any] = {}
    for parameter in script.parameters:
        if parameter.name in hints:
            items[parameter.name] = _item(hints[parameter.name], parameter.name, script)
    if _is_list(hints.get("return")):
        items["return"] = _argument(hints["return"])
    return items


def _item(hint: Any, name: str, script: ScoringScript) -> Any:
    if hint is Any or hint is object:
        return Any
    if _is_list(hint):
        return _argument(hint)
    shown = getattr(hint, "__name__", None) if isinstance(hint, type) else None
    shown = shown or str(hint).replace("typing.", "")
    raise ScriptError(
        f"run() is called with batches, so its parameter `{name}` is a list with an item for each "
        f"request, but its type hint is `{shown}`",
        location=script.location,
        hint=f"write `{name}: list[{shown}]`, or leave @batch and --batch_max_size away",
    )


def _is_list(hint: Any) -> bool:
    return hint in _LISTS or typing.get_origin(hint) in _LISTS


def _argument(hint: Any) -> Any:
    arguments = typing.get_args(hint)
    # An unparametrised `typing.List` has a type variable for its argument.
    return arguments[0] if arguments and not isinstance(arguments[0], typing.TypeVar) else Any
