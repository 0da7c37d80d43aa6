"""Makes the public `inference_schema` package serve well inside the server, without a copy of it.

Three faults of version 1.8 are mended in memory when a script imports it: a decorator with closure
variables around or below `@input_schema` hid the function, date parameters always failed, and a
value that does not fit its schema looked like a failure of the script.
"""

from __future__ import annotations

import datetime
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import CellType, ModuleType
from typing import Any

from inference_server.errors import InvalidInputError
from inference_server.openapi import PayloadSchemas, supported_versions

_PACKAGE = "inference_schema"
_DECORATORS = f"{_PACKAGE}.schema_decorators"
_STANDARD_TYPES = f"{_PACKAGE}.parameter_types.standard_py_parameter_type"


class OneByOne(list[Any]):
    """Values of several requests for one parameter: its schema holds for each of them."""


def schema_function(run: Callable[..., Any]) -> Callable[..., Any] | None:
    """The function behind `run` that carries a schema, or None when there is no schema."""
    util = sys.modules.get(f"{_PACKAGE}.schema_util")
    if util is None:
        return None
    current: Any = run
    while current is not None:
        if util.is_schema_decorated(current):
            return current  # type: ignore[no-any-return]
        current = getattr(current, "__wrapped__", None)
    return None


def payload_schemas(function: Callable[..., Any]) -> PayloadSchemas:
    """What the decorators of a function recorded for the OpenAPI documents."""
    from inference_schema.schema_util import (
        get_input_schema,
        get_output_schema,
        get_supported_versions,
    )

    documents = get_input_schema(function), get_output_schema(function)
    versions = supported_versions(*documents, get_supported_versions(function))
    return PayloadSchemas(*documents, versions)


def mend_on_import() -> None:
    """Arrange for the faults to be mended when, and only if, a script imports the package.

    Calling it again changes nothing.
    """
    if any(isinstance(finder, _MendingFinder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _MendingFinder())
    for name, mend in _MENDERS.items():
        if name in sys.modules:
            mend(sys.modules[name])


class _MendingFinder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _MENDERS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _MendingLoader(spec.loader, _MENDERS[fullname])
        return spec


class _MendingLoader(importlib.abc.Loader):
    def __init__(self, loader: Any, mend: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._mend = mend

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)  # type: ignore[no-any-return]

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._mend(module)


def _mend_decorators(module: Any) -> None:
    util = sys.modules[f"{_PACKAGE}.schema_util"]
    convert = module._deserialize_input_argument

    def convert_or_refuse(input_data: Any, param_type: Any, param_name: str) -> Any:
        if isinstance(input_data, OneByOne):
            # None stands for an optional parameter that a request does not name.
            return [
                None if value is None else convert_or_refuse(value, param_type, param_name)
                for value in input_data
            ]
        try:
            return convert(input_data, param_type, param_name)
        except Exception as error:
            raise InvalidInputError(
                f"The value of '{param_name}' does not fit its schema: {error}",
                path=f"$.{param_name}",
                error_type=type(error).__name__,
            ) from error

    module._deserialize_input_argument = convert_or_refuse
    module._get_decorators = util._get_decorators = _wrapped_chain  # type: ignore[attr-defined]


def _mend_standard_types(module: Any) -> None:
    standard = module.StandardPythonParameterType
    convert = standard.deserialize_input

    def deserialize_input(self: Any, input_data: Any) -> Any:
        if self.sample_data_type is datetime.date and isinstance(input_data, str):
            return datetime.date.fromisoformat(input_data)
        return convert(self, input_data)

    standard.deserialize_input = deserialize_input


_MENDERS = {_DECORATORS: _mend_decorators, _STANDARD_TYPES: _mend_standard_types}


def _wrapped_chain(func: Any) -> list[Any]:
    """The function and what it wraps, outermost first."""
    chain = [func]
    while True:
        current = chain[-1]
        inner = getattr(current, "__wrapped__", None) or _only_function_in_closure(current)
        if inner is None or any(inner is known for known in chain):
            return chain
        chain.append(inner)


def _only_function_in_closure(func: Any) -> Any | None:
    """What a decorator without `functools.wraps` calls: the one callable it closes over."""
    cells = getattr(func, "__closure__", None) or ()
    candidates = [c for c in map(_content, cells) if callable(c)]
    return candidates[0] if len(candidates) == 1 else None


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        # A name that has no value yet.
        return None
