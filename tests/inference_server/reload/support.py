"""Modules that are loaded from text, changed as a save would, and compared with a fresh import."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from pathlib import Path
from types import ModuleType

from inference_server.reload.changes import Decision, InPlace, decide
from inference_server.reload.comparing import Version
from inference_server.reload.swapping import Swap
from inference_server.scoring_script import SourceLoader

_numbers = itertools.count()


def version(old: str, new: str | None, name: str = "score") -> Version:
    """Two versions of a module whose file is `<name>.py`."""
    return Version(
        name,
        f"/code/{name}.py",
        f"{name}.py",
        old.encode(),
        None if new is None else new.encode(),
    )


def decided(old: str, new: str | None, imported: tuple[str, ...] = ()) -> Decision:
    """What a save of the script alone means."""
    return decide([version(old, new)], imported)


def load(path: Path, source: str, name: str | None = None) -> ModuleType:
    """Write a module and import it, as the server does."""
    path.write_text(source)
    name = name or f"reload_test_module_{next(_numbers)}"
    loader = SourceLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)
    return module


def versions_of(edits: dict[ModuleType, str]) -> list[Version]:
    """Live modules and the sources that are to take their place."""
    found = []
    for module, new in edits.items():
        loader = module.__spec__.loader if module.__spec__ else None
        assert isinstance(loader, SourceLoader)
        path = Path(loader.path)
        found.append(
            Version(
                module.__name__, str(path), path.name, loader.source, new.encode(), (path.stem,)
            )
        )
    return found


def save(edits: dict[ModuleType, str]) -> Decision:
    """Decide and, where the decision is in place, swap."""
    versions = versions_of(edits)
    decision = decide(versions, sys.modules)
    if isinstance(decision, InPlace):
        Swap(decision, {v.path: m for v, m in zip(versions, edits, strict=True)}).apply()
        for module, new in edits.items():
            module.__spec__.loader.source = new.encode()  # type: ignore[union-attr]
    return decision
