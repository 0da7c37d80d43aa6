"""Gives live functions the code of a new source: what holds a function keeps holding it.

Function objects stay and get new code, defaults and annotations, so decorators around them, names
that other modules imported and instances that `init()` made all see the change. Nothing of the
module itself runs again.
"""

from __future__ import annotations

import ast
import functools
import linecache
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any, cast

from inference_server.reload.changes import InPlace, compile_source
from inference_server.reload.comparing import ModulePlan
from inference_server.reload.outline import Function, Import, Path
from inference_server.reload.signatures import (
    CannotEvaluateError,
    annotations_of,
    by_kind,
    defaults_of,
    merged_defaults,
    signature_dump,
)


class CannotSwapError(Exception):
    """The live objects are not what the source says; its text says which. A new worker is."""


class Swap:
    """A prepared change of live modules: applied as a whole, or not at all.

    Args:
        decision: What to change.
        modules: The live modules, by the path of their file.

    Raises:
        CannotSwapError: Something cannot be changed in place; nothing was.
    """

    def __init__(self, decision: InPlace, modules: Mapping[str, ModuleType]) -> None:
        self._steps: list[Callable[[], None]] = []
        self._back: list[Callable[[], None]] = []
        self._files = [plan.version.path for plan in decision.plans]
        for plan in decision.plans:
            self._prepare(plan, modules[plan.version.path])

    def apply(self) -> None:
        """Change everything; an error on the way leaves everything as it was.

        Raises:
            CannotSwapError: An import that is new failed, or a type hint has no value.
        """
        try:
            for step in self._steps:
                step()
        except CannotEvaluateError as error:
            self.undo()
            raise CannotSwapError(str(error)) from error
        except BaseException:
            self.undo()
            raise
        for path in self._files:
            # Errors show source lines, which have moved.
            linecache.cache.pop(path, None)

    def undo(self) -> None:
        """Put everything back as it was."""
        while self._back:
            self._back.pop()()

    # --- preparing ---------------------------------------------------------------------------

    def _prepare(self, plan: ModulePlan, module: ModuleType) -> None:
        namespace = vars(module)
        code = compile_source(plan.version.new or b"", plan.version.path)
        assert isinstance(code, CodeType)  # noqa: S101 - what compile() returns without flags
        codes = dict(_codes(code))
        for found in plan.imports:
            self._steps.append(functools.partial(self._import, module, found))
        changed = {function.path for function in plan.changed}
        for path in plan.kept:
            after, before = plan.after.single(path), plan.before.single(path)
            if after is None or before is None:
                continue
            live = live_function(module, before)
            new = codes.get((after.name, after.first_line))
            if live is None or new is None or new.co_freevars != live.__code__.co_freevars:
                if path in changed:
                    raise CannotSwapError(f"{after.shown} cannot be reached from its module")
                continue
            self._prepare_function(module, live, new, before, after)
        for function in plan.added:
            self._prepare_addition(plan, module, function, codes)
        for name in plan.removed:
            if name not in namespace:
                raise CannotSwapError(f"{name} is not in its module")
            self._steps.append(functools.partial(self._delete, namespace, name))
        doc = ast.get_docstring(plan.after.tree, clean=False)
        self._steps.append(lambda: self._set(module, "__doc__", doc))

    def _prepare_function(
        self, module: ModuleType, live: FunctionType, code: CodeType, old: Function, new: Function
    ) -> None:
        values: dict[str, Any] = {"__code__": code}
        values["__doc__"] = FunctionType(code, {}, closure=live.__closure__).__doc__
        has_new_signature = signature_dump(old.node) != signature_dump(new.node)
        if has_new_signature:
            values |= by_kind(new.node, merged_defaults(live, old.node, new.node))

        def change() -> None:
            # Only now: the hints may name what an import that is new has just bound.
            annotations = annotations_of(module, new) if has_new_signature else None
            self._set_all(live, values, annotations)

        self._steps.append(change)

    def _prepare_addition(
        self,
        plan: ModulePlan,
        module: ModuleType,
        function: Function,
        codes: Mapping[tuple[str, int], CodeType],
    ) -> None:
        code = codes.get((function.name, function.first_line))
        owner: Any = module
        for name in function.path[:-1]:
            owner = vars(owner).get(name)
        if code is None or code.co_freevars or (owner is not module and type(owner) is not type):
            raise CannotSwapError(f"{function.shown} cannot be added to its class")
        if function.path[-1] in vars(owner):
            raise CannotSwapError(f"{function.shown} is something else already")

        def add() -> None:
            made = FunctionType(code, vars(module), function.name)
            made.__module__ = module.__name__
            made.__qualname__ = ".".join(function.path)
            values = {name: ast.literal_eval(d) for name, d in defaults_of(function.node).items()}
            for name, value in by_kind(function.node, values).items():
                setattr(made, name, value)
            made.__annotations__ = annotations_of(module, function)
            self._set(owner, _mangled(function.path), made)

        self._steps.append(add)

    # --- one change, and its way back --------------------------------------------------------

    def _set_all(
        self, function: FunctionType, values: Mapping[str, Any], annotations: dict[str, Any] | None
    ) -> None:
        for name, value in values.items():
            self._set(function, name, value)
        if annotations is not None:
            # The same dict: functools.wraps gave it to the wrappers too.
            held, before = function.__annotations__, dict(function.__annotations__)
            self._back.append(lambda: _refill(held, before))
            _refill(held, annotations)

    def _set(self, target: Any, name: str, value: Any) -> None:
        if isinstance(target, FunctionType) or name in vars(target):
            before = getattr(target, name)
            self._back.append(lambda: setattr(target, name, before))
        else:
            self._back.append(lambda: delattr(target, name))
        setattr(target, name, value)

    def _delete(self, namespace: dict[str, Any], name: str) -> None:
        before = namespace.pop(name)
        self._back.append(lambda: namespace.update({name: before}))

    def _import(self, module: ModuleType, found: Import) -> None:
        scratch: dict[str, Any] = {"__name__": module.__name__, "__package__": module.__package__}
        try:
            exec(found.statement, scratch)  # noqa: S102 - a statement of the user's own module
        except BaseException as error:
            raise CannotSwapError(f"`{found.statement}` failed: {error}") from error
        self._set(module, found.bound, scratch[found.bound])


def live_function(module: ModuleType, function: Function) -> FunctionType | None:
    """The object of a function, found by its name and through decorators that merely call it.

    None where the name stands for something else by now, or where a decorator turned the function
    into an object that may have compiled or copied it.
    """
    path, owner = function.path, cast(Any, module)
    for name in path[:-1]:
        owner = vars(owner).get(name)
        if not isinstance(owner, type) or owner.__module__ != module.__name__:
            return None
    current = vars(owner).get(_mangled(path))
    seen = 0
    while current is not None and seen < _DEEPEST:
        seen += 1
        if isinstance(current, staticmethod | classmethod):
            current = current.__func__
        elif isinstance(current, property):
            current = current.fget
        elif isinstance(current, FunctionType) or type(current).__module__.startswith("wrapt"):
            inner = getattr(current, "__wrapped__", None)
            if inner is None:
                break
            current = inner
        else:
            return None
    if not isinstance(current, FunctionType):
        return None
    code = current.__code__
    is_it = (code.co_filename, code.co_firstlineno, code.co_name) == (
        _file_of(module),
        function.first_line,
        function.name,
    )
    return current if is_it else None


_DEEPEST = 50
"""Decorators around one function, at most; `__wrapped__` could go in a circle."""


def _file_of(module: ModuleType) -> str:
    return str(getattr(getattr(module.__spec__, "loader", None), "path", module.__file__))


def _mangled(path: Path) -> str:
    """The attribute behind a method's name: `__x` of class `C` is `_C__x`."""
    name = path[-1]
    if len(path) == 1 or not name.startswith("__") or name.endswith("__"):
        return name
    return f"_{path[-2].lstrip('_')}{name}"


def _codes(code: CodeType) -> Iterator[tuple[tuple[str, int], CodeType]]:
    """All code objects inside one, by name and first line."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield (constant.co_name, constant.co_firstlineno), constant
            yield from _codes(constant)


def _refill(held: dict[str, Any], values: Mapping[str, Any]) -> None:
    values = dict(values)
    held.clear()
    held.update(values)
