"""What changed between two forms of one module, where all of it can be changed in place."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from inference_server.reload.outline import Function, FunctionNode, Import, Outline, Step, is_dunder
from inference_server.reload.outline import Path as FunctionPath
from inference_server.reload.signatures import (
    default_dumps,
    defaults_of,
    is_literal,
    signature_dump,
)

SCRIPT_FUNCTIONS = frozenset({"init", "run"})


@dataclass(frozen=True)
class Version:
    """One user module before and after a save.

    Attributes:
        name: The name it is imported by.
        path: Its file, as its code objects have it.
        shown: Its file, as log lines have it.
        old: The source that runs.
        new: The source on disk; None when the file is gone.
        other_names: Further names it is imported by.
    """

    name: str
    path: str
    shown: str
    old: bytes
    new: bytes | None
    other_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModulePlan:
    """How one module gets from its old to its new form without being imported again.

    Attributes:
        version: The module.
        before: Its old form.
        after: Its new form.
        changed: Functions whose code, defaults or annotations changed.
        added: Functions that are new.
        removed: Names to delete: functions and imports that are gone.
        imports: Imports that are new.
    """

    version: Version
    before: Outline
    after: Outline
    changed: tuple[Function, ...] = ()
    added: tuple[Function, ...] = ()
    removed: tuple[str, ...] = ()
    imports: tuple[Import, ...] = ()

    @property
    def kept(self) -> list[FunctionPath]:
        """Functions that stay, changed or not: all of them get new line numbers."""
        return [path for path in self.after.functions if path in self.before.functions]

    @property
    def shown(self) -> str:
        """`run() in score.py`, for the log."""
        parts = [function.shown for function in (*self.changed, *self.added)]
        parts += [f"{name} (removed)" for name in self.removed]
        parts += [f"`{found.statement}`" for found in self.imports]
        return f"{', '.join(parts) or 'comments and layout'} in {self.version.shown}"


class NeedsNewWorkerError(Exception):
    """A change that cannot be made in place; its text says which."""


def compare(version: Version, before: Outline, after: Outline) -> ModulePlan:
    """How a module gets from one form to the other.

    Raises:
        NeedsNewWorkerError: Not without being imported again.
    """
    _compare_steps(version, before.steps, after.steps)
    if before.classes.keys() != after.classes.keys():
        raise NeedsNewWorkerError(f"the classes of {version.shown} changed")
    changed, added, removed = _compare_functions(version, before, after)
    new_imports = sorted(after.imports - before.imports, key=lambda found: found.statement)
    old_imports = before.imports - after.imports
    kept = {found.bound for found in after.imports}
    gone = sorted({found.bound for found in old_imports})
    for found in new_imports:
        _check_new_name(version, found.bound, before, after)
    for name in gone:
        if name in kept or before.bound[(name,)] != 1 or after.bound[(name,)]:
            raise NeedsNewWorkerError(f"the import of {name} in {version.shown} changed")
    return ModulePlan(
        version,
        before,
        after,
        tuple(changed),
        tuple(added),
        (*(function.name for function in removed), *gone),
        tuple(new_imports),
    )


def _compare_steps(version: Version, before: Sequence[Step], after: Sequence[Step]) -> None:
    dumps = [step.dump for step in before], [step.dump for step in after]
    if dumps[0] == dumps[1]:
        return
    for step in after:
        if step.dump not in dumps[0]:
            raise NeedsNewWorkerError(f"{step.shown} changed ({version.shown}:{step.line})")
    for step in before:
        if step.dump not in dumps[1]:
            raise NeedsNewWorkerError(f"{step.shown} is gone from {version.shown}")
    raise NeedsNewWorkerError(f"the order of module-level code in {version.shown} changed")


def _compare_functions(
    version: Version, before: Outline, after: Outline
) -> tuple[list[Function], list[Function], list[Function]]:
    changed: list[Function] = []
    added: list[Function] = []
    removed: list[Function] = []
    for path in [*after.functions, *(p for p in before.functions if p not in after.functions)]:
        old, new = before.functions.get(path, []), after.functions.get(path, [])
        if [ast.dump(f.node) for f in old] == [ast.dump(f.node) for f in new]:
            continue
        function = (new or old)[0]
        where = f"{function.shown} in {version.shown}"
        if (old and before.single(path) is None) or (new and after.single(path) is None):
            raise NeedsNewWorkerError(f"{where} changed, and its name is bound more than once")
        if old and new:
            _check_changed(where, old[0], new[0])
            changed.append(new[0])
        elif new:
            _check_added(version, new[0], before, after)
            added.append(new[0])
        else:
            if len(path) > 1 or function.is_dunder or function.name in SCRIPT_FUNCTIONS:
                raise NeedsNewWorkerError(f"{where} is gone")
            removed.append(old[0])
    return changed, added, removed


def _check_changed(where: str, old: Function, new: Function) -> None:
    if old.kind != new.kind:
        raise NeedsNewWorkerError(f"{where} changed between value, coroutine and generator")
    if old.is_generic or new.is_generic:
        raise NeedsNewWorkerError(f"{where} has type parameters and changed")
    if signature_dump(old.node) == signature_dump(new.node):
        return
    if new.is_decorated:
        raise NeedsNewWorkerError(f"the parameters of {where} changed below a decorator")
    _check_defaults(where, new.node, known=default_dumps(old.node))


def _check_added(version: Version, new: Function, before: Outline, after: Outline) -> None:
    where = f"{new.shown} in {version.shown}"
    if new.is_dunder or new.is_generic:
        raise NeedsNewWorkerError(f"{where} is new")
    if len(new.path) == 1:
        _check_new_name(version, new.name, before, after)
    elif after.classes[new.path[:-1]].decorator_list or before.bound[new.path]:
        raise NeedsNewWorkerError(f"{where} is new")
    _check_defaults(where, new.node, known={})


def _check_new_name(version: Version, name: str, before: Outline, after: Outline) -> None:
    if before.bound[(name,)] or after.bound[(name,)] != 1 or is_dunder(name) or name == "init":
        raise NeedsNewWorkerError(f"{name} in {version.shown} stands for something else now")


def _check_defaults(where: str, node: FunctionNode, known: dict[str, str]) -> None:
    for name, default in defaults_of(node).items():
        if known.get(name) != ast.dump(default) and not is_literal(default):
            raise NeedsNewWorkerError(f"the default of {name} of {where} has to be computed")
