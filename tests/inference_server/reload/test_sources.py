"""The sources of loaded user modules are those that were compiled."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference_server.reload.sources import loaded_sources, remember_sources


@pytest.fixture(autouse=True)
def own_finders(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    known = set(sys.modules)
    yield
    for name in set(sys.modules) - known:
        del sys.modules[name]


def sources() -> dict[str, bytes]:
    return {loaded.module.__name__: loaded.source for loaded in loaded_sources()}


def test_user_modules_are_remembered_as_they_were_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kept_package" / "inner").mkdir(parents=True)
    (tmp_path / "kept_package" / "__init__.py").write_text("a = 1\n")
    (tmp_path / "kept_package" / "inner" / "module.py").write_text("b = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    remember_sources([tmp_path])

    importlib.import_module("kept_package.inner.module")
    (tmp_path / "kept_package" / "__init__.py").write_text("a = 2\n")

    found = sources()
    assert found["kept_package"] == b"a = 1\n"
    assert found["kept_package.inner.module"] == b"b = 1\n"


def test_a_stale_cache_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit of the same size within the same second."""
    path = tmp_path / "cached_module.py"
    path.write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("cached_module")
    stat = path.stat()
    path.write_text("value = 2\n")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    del sys.modules["cached_module"]
    remember_sources([tmp_path])

    assert importlib.import_module("cached_module").value == 2


def test_libraries_are_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "env" / "lib" / "site-packages"
    installed.mkdir(parents=True)
    (installed / "installed_module.py").touch()
    monkeypatch.syspath_prepend(installed)
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    remember_sources([tmp_path])

    importlib.import_module("installed_module")
    importlib.import_module("colorsys")

    assert not {"installed_module", "colorsys"} & sources().keys()


def test_remembering_twice_adds_one_finder(tmp_path: Path) -> None:
    remember_sources([tmp_path])
    count = len(sys.meta_path)

    remember_sources([tmp_path])

    assert len(sys.meta_path) == count


def test_a_module_with_two_names_comes_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "twice_named.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    remember_sources([tmp_path])
    module = importlib.import_module("twice_named")
    sys.modules["another_name"] = module

    assert [s.module for s in loaded_sources()].count(module) == 1
