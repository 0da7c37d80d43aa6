"""The source of every loaded user module, as it was compiled: what a save is compared with."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from inference_server.failures import is_user_file
from inference_server.scoring_script import SourceLoader


@dataclass(frozen=True)
class LoadedSource:
    """A user module in this process.

    Attributes:
        module: The module.
        loader: Holds the source that runs; replaced by whoever swaps the module's functions.
    """

    module: ModuleType
    loader: SourceLoader

    @property
    def path(self) -> str:
        """The file, as the module's code objects name it."""
        return self.loader.path

    @property
    def source(self) -> bytes:
        """What the module was compiled from."""
        return self.loader.source


def remember_sources(folders: Iterable[Path]) -> None:
    """From now on, import modules below these folders from their source, and keep it.

    Bytecode caches are passed over: they are only as fresh as a whole second. Calling it again
    changes nothing.
    """
    if any(isinstance(finder, _UserCodeFinder) for finder in sys.meta_path):
        return
    # In front of the finder it stands in for, so that more special ones keep their precedence.
    standard = importlib.machinery.PathFinder
    index = sys.meta_path.index(standard) if standard in sys.meta_path else len(sys.meta_path)
    sys.meta_path.insert(index, _UserCodeFinder(tuple(folder.resolve() for folder in folders)))


def loaded_sources() -> list[LoadedSource]:
    """The user modules that are loaded now; one that has several names comes once."""
    found: dict[int, LoadedSource] = {}
    for module in tuple(sys.modules.values()):
        loader = getattr(getattr(module, "__spec__", None), "loader", None)
        if isinstance(loader, SourceLoader) and isinstance(module, ModuleType) and loader.source:
            found.setdefault(id(module), LoadedSource(module, loader))
    return list(found.values())


def is_below(path: str, folders: Iterable[Path]) -> bool:
    """Whether a file is the user's and lies in one of the folders or deeper."""
    resolved = Path(path).resolve()
    return is_user_file(path) and any(resolved.is_relative_to(folder) for folder in folders)


class _UserCodeFinder(importlib.abc.MetaPathFinder):
    """Finds what the standard finder finds, and has user modules loaded by `SourceLoader`."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        self._folders = folders

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if (
            spec is not None
            and type(spec.loader) is importlib.machinery.SourceFileLoader
            and is_below(spec.loader.path, self._folders)
        ):
            spec.loader = SourceLoader(fullname, spec.loader.path)
        return spec
