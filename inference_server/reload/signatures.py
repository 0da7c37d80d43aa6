"""Parameters, defaults and annotations: as they are written, and as a live function has them."""

from __future__ import annotations
import __future__

import ast
from collections.abc import Mapping
from types import FunctionType, ModuleType
from typing import Any

from inference_server.reload.outline import Function, FunctionNode


class CannotEvaluateError(Exception):
    """An annotation has no value now; its text says which."""


def is_literal(node: ast.expr) -> bool:
    """A value that needs no names: `0.5`, `None`, `[1, 2]`."""
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def signature_dump(node: FunctionNode) -> str:
    """Parameters, their defaults and annotations, and the return annotation."""
    returns = ast.dump(node.returns) if node.returns else ""
    return f"{ast.dump(node.args)} -> {returns}"


def defaults_of(node: FunctionNode) -> dict[str, ast.expr]:
    """The default of each parameter that has one."""
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    with_default = positional[len(positional) - len(arguments.defaults) :]
    found = {p.arg: default for p, default in zip(with_default, arguments.defaults, strict=True)}
    for parameter, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if default is not None:
            found[parameter.arg] = default
    return found


def default_dumps(node: FunctionNode) -> dict[str, str]:
    """The default of each parameter that has one, as it is compared."""
    return {name: ast.dump(default) for name, default in defaults_of(node).items()}


def merged_defaults(live: FunctionType, old: FunctionNode, new: FunctionNode) -> dict[str, Any]:
    """Defaults by parameter: those whose source stayed keep their object."""
    had = _live_defaults(live, old)
    before, after = default_dumps(old), defaults_of(new)
    return {
        name: had[name]
        if before.get(name) == ast.dump(default) and name in had
        else ast.literal_eval(default)
        for name, default in after.items()
    }


def _live_defaults(live: FunctionType, node: FunctionNode) -> dict[str, Any]:
    positional = [p.arg for p in (*node.args.posonlyargs, *node.args.args)]
    defaults = live.__defaults__ or ()
    return {
        **dict(zip(positional[len(positional) - len(defaults) :], defaults, strict=False)),
        **(live.__kwdefaults__ or {}),
    }


def by_kind(node: FunctionNode, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults by parameter as the two attributes that a function keeps them in."""
    positional = [p.arg for p in (*node.args.posonlyargs, *node.args.args)]
    keywords = {p.arg: defaults[p.arg] for p in node.args.kwonlyargs if p.arg in defaults}
    return {
        "__defaults__": tuple(defaults[name] for name in positional if name in defaults) or None,
        "__kwdefaults__": keywords or None,
    }


def annotations_of(module: ModuleType, function: Function) -> dict[str, Any]:
    """The annotations of a function, evaluated as its definition would.

    Raises:
        CannotEvaluateError: One of them cannot be evaluated now.
    """
    node = function.node
    arguments = ast.arguments(
        posonlyargs=node.args.posonlyargs,
        args=node.args.args,
        vararg=node.args.vararg,
        kwonlyargs=node.args.kwonlyargs,
        kw_defaults=[None] * len(node.args.kwonlyargs),
        kwarg=node.args.kwarg,
        defaults=[],
    )
    definition = ast.FunctionDef(node.name, arguments, [ast.Pass()], [], node.returns)
    if hasattr(node, "type_params"):
        definition.type_params = []  # type: ignore[attr-defined,unused-ignore]
    tree = ast.fix_missing_locations(ast.Module([ast.copy_location(definition, node)], []))
    flags = _future_flags(module)
    scope: dict[str, Any] = {}
    owner: Any = module
    for name in function.path[:-1]:
        owner = vars(owner)[name]
        scope = dict(vars(owner))
    try:
        code = compile(tree, str(module.__file__), "exec", flags=flags, dont_inherit=True)
        exec(code, vars(module), scope)  # noqa: S102 - an empty function with the user's hints
    except Exception as error:
        raise CannotEvaluateError(
            f"the type hints of {function.shown} cannot be evaluated: {error}"
        ) from error
    return dict(scope[node.name].__annotations__)


def _future_flags(module: ModuleType) -> int:
    feature = __future__.annotations
    return feature.compiler_flag if vars(module).get("annotations") is feature else 0
