"""A module's syntax tree, taken apart into what a reload cares about: functions, imports, the rest.

Everything is compared as a dump of the tree, so comments, layout and line numbers do not count.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
Path = tuple[str, ...]
"""`("run",)`, or `("Model", "predict")`."""


@dataclass(frozen=True)
class Function:
    """A function of a module, or a method of one of its classes.

    Attributes:
        path: Names that lead to it from the module.
        node: Its part of the tree.
    """

    path: Path
    node: FunctionNode

    @property
    def name(self) -> str:
        """Its own name, the last one of the path."""
        return self.path[-1]

    @property
    def shown(self) -> str:
        """How log lines call it."""
        return f"{'.'.join(self.path)}()"

    @property
    def is_dunder(self) -> bool:
        """Python calls it by itself."""
        return is_dunder(self.name)

    @property
    def is_decorated(self) -> bool:
        """Its name may stand for something else than the function."""
        return bool(self.node.decorator_list)

    @property
    def is_generic(self) -> bool:
        """It has type parameters (PEP 695), which Python wraps in a scope of their own."""
        return bool(getattr(self.node, "type_params", None))

    @property
    def kind(self) -> tuple[type, bool]:
        """What a call of it returns: a value, a coroutine or a generator."""
        yields = any(isinstance(node, ast.Yield | ast.YieldFrom) for node in _own_nodes(self.node))
        return type(self.node), yields

    @property
    def first_line(self) -> int:
        """Where its code object starts: at the first decorator."""
        return min([self.node.lineno, *(d.lineno for d in self.node.decorator_list)])


@dataclass(frozen=True)
class Step:
    """Something that runs when the module is imported, in its order.

    Attributes:
        dump: What it is compared by.
        shown: How log lines call it.
        line: Where it starts.
    """

    dump: str
    shown: str
    line: int


@dataclass(frozen=True)
class Import:
    """One name that an import statement binds: `import a.b`, `from .a import b as c`."""

    level: int
    module: str
    name: str
    bound: str

    @property
    def is_plain(self) -> bool:
        """`import a`, not `from a import b`."""
        return not self.name

    @property
    def statement(self) -> str:
        """The import as a statement of its own."""
        if self.is_plain:
            renamed = self.bound != self.module.partition(".")[0]
            return f"import {self.module}" + (f" as {self.bound}" if renamed else "")
        source = "." * self.level + self.module
        return f"from {source} import {self.name} as {self.bound}"


@dataclass
class Outline:
    """A module, taken apart.

    Attributes:
        functions: Functions and methods by path; several where a name is defined more than once.
        classes: Definitions of classes by path.
        imports: What the module's own import statements bind.
        steps: Everything else that the import of the module does, in order.
        statements: The statements behind the steps that are neither function nor class.
        bound: How often each name of the module, or of a class, is bound.
    """

    tree: ast.Module
    functions: dict[Path, list[Function]] = field(default_factory=dict)
    classes: dict[Path, ast.ClassDef] = field(default_factory=dict)
    imports: set[Import] = field(default_factory=set)
    steps: list[Step] = field(default_factory=list)
    statements: list[ast.stmt] = field(default_factory=list)
    bound: Counter[Path] = field(default_factory=Counter)

    def single(self, path: Path) -> Function | None:
        """The function that alone binds its name; None when others do too."""
        found = self.functions.get(path, [])
        return found[0] if len(found) == 1 and self.bound[path] == 1 else None


def is_dunder(name: str) -> bool:
    """`__name__`: a name that means something to Python."""
    return name.startswith("__") and name.endswith("__")


def outline(source: bytes | str) -> Outline:
    """Take a module apart.

    Raises:
        SyntaxError: It is not Python.
        ValueError: It holds null bytes.
    """
    tree = ast.parse(source)
    result = Outline(tree)
    for statement in _body(tree):
        _add(result, statement, ())
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            # Whatever a function binds in the module may hide what the module itself bound.
            result.bound.update((name,) for name in node.names)
    return result


def _add(result: Outline, node: ast.stmt, inside: Path) -> None:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        path = (*inside, node.name)
        result.functions.setdefault(path, []).append(Function(path, node))
        result.bound[path] += 1
        if node.decorator_list:
            dump = _dump(*node.decorator_list)
            result.steps.append(
                Step(f"{path} {dump}", f"the decoration of {'.'.join(path)}()", node.lineno)
            )
    elif isinstance(node, ast.ClassDef):
        _add_class(result, node, inside)
    elif isinstance(node, ast.Import | ast.ImportFrom) and not inside and not _is_special(node):
        for found in imports_of(node):
            result.imports.add(found)
            result.bound[(found.bound,)] += 1
    else:
        what = f"a statement in class {'.'.join(inside)}" if inside else "module-level code"
        result.steps.append(Step(f"{inside} {_dump(node)}", what, node.lineno))
        result.statements.append(node)
        result.bound.update((*inside, name) for name in bound_names(node))


def _add_class(result: Outline, node: ast.ClassDef, inside: Path) -> None:
    path = (*inside, node.name)
    result.classes[path] = node
    result.bound[path] += 1
    generic = getattr(node, "type_params", [])
    head = _dump(*node.decorator_list, *node.bases, *node.keywords, *generic)
    result.steps.append(Step(f"{path} {head}", f"class {'.'.join(path)}", node.lineno))
    for statement in _body(node):
        _add(result, statement, path)


def _body(node: ast.Module | ast.ClassDef) -> Iterator[ast.stmt]:
    """The statements that do something when they run."""
    for statement in node.body:
        is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if not (is_text or isinstance(statement, ast.Pass) or _is_main_guard(statement)):
            yield statement


def _is_main_guard(node: ast.stmt) -> bool:
    """`if __name__ == "__main__":`, which never holds in the server."""
    return (
        isinstance(node, ast.If)
        and not node.orelse
        and isinstance(node.test, ast.Compare)
        and isinstance(node.test.left, ast.Name)
        and node.test.left.id == "__name__"
        and [type(operator) for operator in node.test.ops] == [ast.Eq]
        and all(
            isinstance(c, ast.Constant) and c.value == "__main__" for c in node.test.comparators
        )
    )


def _is_special(node: ast.Import | ast.ImportFrom) -> bool:
    """An import that does more than bind the names it lists."""
    if isinstance(node, ast.Import):
        return False
    return node.module == "__future__" or any(alias.name == "*" for alias in node.names)


def imports_of(node: ast.Import | ast.ImportFrom) -> Iterator[Import]:
    """The names that one import statement binds."""
    for alias in node.names:
        if isinstance(node, ast.Import):
            yield Import(0, alias.name, "", alias.asname or alias.name.partition(".")[0])
        else:
            yield Import(node.level, node.module or "", alias.name, alias.asname or alias.name)


def bound_names(node: ast.AST) -> set[str]:
    """The names that a statement may bind or delete, in whatever scope."""
    names: set[str] = set()
    for sub in ast.walk(node):
        if isinstance(sub, ast.Name) and not isinstance(sub.ctx, ast.Load):
            names.add(sub.id)
        elif isinstance(sub, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(sub.name)
        elif isinstance(sub, ast.Import | ast.ImportFrom):
            names.update(found.bound for found in imports_of(sub))
        elif isinstance(sub, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and sub.name:
            names.add(sub.name)
    return names


def _own_nodes(function: FunctionNode) -> Iterator[ast.AST]:
    """The nodes of a function's body without those of functions inside it."""
    pending: list[ast.AST] = list(function.body)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            pending.extend(ast.iter_child_nodes(node))


def _dump(*nodes: ast.AST) -> str:
    return " ".join(ast.dump(node) for node in nodes)
