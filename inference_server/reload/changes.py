"""What a save means: nothing, functions to swap in place, a new worker, or a file that is broken.

Pure: two versions of each user module go in, a decision comes out. In doubt it is a new worker,
which is always right and only slower.
"""

from __future__ import annotations

import sys
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from inference_server.reload.comparing import ModulePlan, NeedsNewWorkerError, Version, compare
from inference_server.reload.outline import Function, Import, Outline, outline
from inference_server.reload.reach import Kind, mentioned_names, reached


@dataclass(frozen=True)
class Nothing:
    """The running code is that on disk."""


@dataclass(frozen=True)
class InPlace:
    """Functions are to be swapped; the objects that `init()` made stay."""

    plans: tuple[ModulePlan, ...]

    @property
    def shown(self) -> str:
        """All that changed, for the log."""
        return "; ".join(plan.shown for plan in self.plans)


@dataclass(frozen=True)
class NewWorker:
    """The modules have to be imported again, in a process of their own."""

    reason: str


@dataclass(frozen=True)
class Broken:
    """A file is not Python; the old code keeps serving."""

    error: SyntaxError


Decision = Nothing | InPlace | NewWorker | Broken


def decide(versions: Sequence[Version], imported: Container[str]) -> Decision:
    """The decision for a save.

    Args:
        versions: All user modules that are loaded, changed or not.
        imported: The names of all modules that are loaded, whoever's they are.
    """
    edited = [version for version in versions if version.new != version.old]
    if not edited:
        return Nothing()
    for version in edited:
        if version.new is None:
            return NewWorker(f"{version.shown} is gone")
        error = _syntax_error(version.new, version.path)
        if error is not None:
            return Broken(error)
    try:
        return _in_place(versions, edited, imported)
    except NeedsNewWorkerError as error:
        return NewWorker(str(error))
    except RecursionError:
        return NewWorker("code changed that is too deeply nested to be compared")


def _syntax_error(source: bytes, path: str) -> SyntaxError | None:
    try:
        # More than a parse: `return` outside of a function is only found here.
        compile_source(source, path)
    except SyntaxError as error:
        return error
    except (ValueError, RecursionError) as error:
        return SyntaxError(str(error), (path, 1, None, None))
    return None


def compile_source(source: bytes, path: str) -> object:
    """Compile a module as importing it does.

    Raises:
        SyntaxError: It is not Python.
        ValueError: It holds null bytes.
    """
    return compile(source, path, "exec", dont_inherit=True)


def _in_place(
    versions: Sequence[Version], edited: Sequence[Version], imported: Container[str]
) -> InPlace:
    before = {version.path: outline(version.old) for version in versions}
    after = {version.path: outline(version.new or b"") for version in edited}
    plans = tuple(compare(v, before[v.path], after[v.path]) for v in edited)
    packages = frozenset(
        name.partition(".")[0]
        for version in versions
        for name in (version.name, *version.other_names)
    )
    ran = reached([*before.values(), *after.values()], packages)
    now = {**before, **after}
    for plan in plans:
        for found in plan.imports:
            _check_import(plan.version, found, imported)
            if (Kind.NAME, found.bound) in ran.by_init | ran.by_import:
                raise NeedsNewWorkerError(f"{plan.version.shown} imports {found.bound} now")
        for function in _touched(plan):
            if function.path == ("init",):
                raise NeedsNewWorkerError(f"init() in {plan.version.shown} changed")
            why = ran.why(function)
            if why:
                raise NeedsNewWorkerError(
                    f"{function.shown} in {plan.version.shown} changed, and {why}"
                )
        _check_removed(plan, now.values())
    return InPlace(plans)


def _touched(plan: ModulePlan) -> Iterable[Function]:
    yield from plan.changed
    yield from plan.added
    for name in plan.removed:
        yield from plan.before.functions.get((name,), ())


def _check_removed(plan: ModulePlan, modules: Iterable[Outline]) -> None:
    if not plan.removed:
        return
    mentioned = frozenset[str]().union(*(mentioned_names(module) for module in modules))
    for name in plan.removed:
        if name in mentioned:
            raise NeedsNewWorkerError(
                f"{name} is gone from {plan.version.shown}, and still named somewhere"
            )


def _check_import(version: Version, found: Import, imported: Container[str]) -> None:
    """An import of what is not loaded yet may run for seconds, or belong on the main thread."""
    package = found.module.partition(".")[0]
    is_there = found.module in imported or package in sys.stdlib_module_names
    if found.level or not is_there:
        raise NeedsNewWorkerError(f"{version.shown} imports {found.module or found.name} now")
