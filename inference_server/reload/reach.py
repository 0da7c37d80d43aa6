"""What code may have run already: all that `init()`, and importing the modules, can have called.

Found by name over all user modules at once, and rather too much than too little: a function of the
same name elsewhere counts. Objects are not followed, so the name of an attribute stands for every
method of that name.
"""

from __future__ import annotations

import ast
import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from inference_server.reload.outline import Function, Import, Outline, imports_of

CACHES = frozenset({"cache", "cached", "cached_property", "lru_cache", "memoize"})
"""Decorators that keep results: what their functions call counts as having run."""


class Kind(enum.Enum):
    """What a name can stand for."""

    NAME = "a function, class or variable of a module"
    METHOD = "a method of some class"


Mention = tuple[Kind, str]


@dataclass(frozen=True)
class Reached:
    """What ran before the first request.

    Attributes:
        by_init: Called by `init()`, as far as names tell.
        by_import: Called by module-level code, decorators and class bodies, or kept by a cache.
    """

    by_init: frozenset[Mention]
    by_import: frozenset[Mention]

    def why(self, function: Function) -> str | None:
        """Who may have called a function before the first request; None for nobody."""
        mention = mention_of(function)
        if mention in self.by_init:
            return "init() uses it"
        return "code that runs on import uses it" if (mention in self.by_import) else None


def mention_of(function: Function) -> Mention:
    """What code mentions when it may call this function.

    Methods that Python calls by itself (`__init__`, `__enter__`, …) come with their class.
    """
    if len(function.path) == 1:
        return Kind.NAME, function.name
    return (Kind.NAME, function.path[-2]) if function.is_dunder else (Kind.METHOD, function.name)


def reached(outlines: Iterable[Outline], user_packages: frozenset[str]) -> Reached:
    """What may have run before the first request.

    Args:
        outlines: All user modules, in their old and their new form.
        user_packages: Top-level names that these modules are imported by.
    """
    edges: dict[Mention, set[Mention]] = {}
    roots: set[Mention] = set()
    for module in outlines:
        reader = _Reader(module, user_packages)
        for source, target in reader.edges():
            edges.setdefault(source, set()).update(target)
        roots |= reader.roots()
    return Reached(_closure({(Kind.NAME, "init")}, edges), _closure(roots, edges))


def mentioned_names(module: Outline) -> frozenset[str]:
    """Every name that a module uses in any way, strings included."""
    mentions = _Reader(module, frozenset()).mentions(module.tree, follow_libraries=True)
    imported = {
        name
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for found in imports_of(node)
        for name in (found.name, *found.module.split("."))
    }
    return frozenset(name for _, name in mentions) | imported


def _closure(roots: set[Mention], edges: Mapping[Mention, set[Mention]]) -> frozenset[Mention]:
    found: set[Mention] = set()
    pending = list(roots)
    while pending:
        mention = pending.pop()
        if mention not in found:
            found.add(mention)
            pending.extend(edges.get(mention, ()))
    return frozenset(found)


class _Reader:
    """Reads the mentions of one module's code."""

    def __init__(self, module: Outline, user_packages: frozenset[str]) -> None:
        self._module = module
        self._users: dict[str, Import] = {}
        self._libraries: set[str] = set()
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                for found in imports_of(node):
                    is_users = found.level or found.module.partition(".")[0] in user_packages
                    if is_users:
                        self._users[found.bound] = found
                    else:
                        self._libraries.add(found.bound)
        self._libraries -= self._users.keys()

    def edges(self) -> Iterator[tuple[Mention, set[Mention]]]:
        for functions in self._module.functions.values():
            for function in functions:
                yield mention_of(function), self.mentions(function.node)
        for path, node in self._module.classes.items():
            yield (Kind.NAME, path[-1]), self._head_of_class(node)
        for statement in self._module.statements:
            bound = {
                node.id
                for node in ast.walk(statement)
                if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
            }
            bound |= {
                node.name
                for node in ast.walk(statement)
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            }
            mentions = self.mentions(statement)
            for name in bound:
                yield (Kind.NAME, name), mentions
                yield (Kind.METHOD, name), mentions

    def roots(self) -> set[Mention]:
        found: set[Mention] = set()
        for statement in self._module.statements:
            if not _only_names_things(statement):
                found |= self.mentions(statement)
        for node in self._module.classes.values():
            found |= self._head_of_class(node)
        for functions in self._module.functions.values():
            for function in functions:
                found |= self._when_defined(function)
        return found

    def _when_defined(self, function: Function) -> set[Mention]:
        """What the definition of a function calls: decorators and the defaults of parameters."""
        node, found = function.node, set[Mention]()
        for decorator in node.decorator_list:
            mentions = self.mentions(decorator, follow_libraries=True)
            if any(name in CACHES for _, name in mentions):
                found.add(mention_of(function))
            found |= mentions
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None and not _is_display(default):
                found |= self.mentions(default)
        return found

    def _head_of_class(self, node: ast.ClassDef) -> set[Mention]:
        found: set[Mention] = set()
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            found |= self.mentions(part)
        return found

    def mentions(self, node: ast.AST, *, follow_libraries: bool = False) -> set[Mention]:
        """The names in a piece of code; what hangs on a library's name is the library's own."""
        found: set[Mention] = set()
        for sub in ast.walk(node):
            if isinstance(sub, ast.Name):
                found.add((Kind.NAME, sub.id))
                users = self._users.get(sub.id)
                if users is not None and users.name:
                    found.add((Kind.NAME, users.name))
            elif isinstance(sub, ast.Attribute):
                root = _root(sub)
                if root in self._libraries and not follow_libraries:
                    continue
                found.add((Kind.METHOD, sub.attr))
                if root in self._users:
                    found.add((Kind.NAME, sub.attr))
            elif isinstance(sub, ast.Constant) and isinstance(sub.value, str):
                if sub.value.isidentifier():
                    found |= {(Kind.NAME, sub.value), (Kind.METHOD, sub.value)}
            elif isinstance(sub, ast.ImportFrom):
                found.update((Kind.NAME, alias.name) for alias in sub.names)
        return found


def _root(node: ast.expr) -> str | None:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _only_names_things(node: ast.stmt) -> bool:
    """A statement that calls nothing: `LIMITS = {"a": 1, "b": handler}`."""
    if isinstance(node, ast.Assign):
        return all(isinstance(t, ast.Name) for t in node.targets) and _is_display(node.value)
    if isinstance(node, ast.AnnAssign):
        return isinstance(node.target, ast.Name) and (node.value is None or _is_display(node.value))
    return isinstance(node, ast.Import | ast.ImportFrom)


def _is_display(node: ast.expr) -> bool:
    allowed = (
        ast.Constant, ast.Name, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.UnaryOp,
        ast.unaryop, ast.expr_context, ast.Lambda, ast.arguments, ast.arg,
    )  # fmt: skip
    if isinstance(node, ast.Lambda):
        return True
    return all(isinstance(sub, allowed) for sub in ast.walk(node))
