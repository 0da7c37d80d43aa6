"""What a scoring script's text says of it, without running it."""

from __future__ import annotations

import ast
from pathlib import Path

BATCH_DECORATOR = "batch"


def marks_batches(path: Path) -> bool:
    """Whether `run()` carries `@batch`; False also for a script that cannot be parsed."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        # The server that is started next says what is wrong, and where.
        return False
    return any(
        _name(decorator) == BATCH_DECORATOR
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == "run"
        for decorator in node.decorator_list
    )


def _name(decorator: ast.expr) -> str:
    if isinstance(decorator, ast.Call):
        decorator = decorator.func
    if isinstance(decorator, ast.Attribute):
        return decorator.attr
    return decorator.id if isinstance(decorator, ast.Name) else ""
