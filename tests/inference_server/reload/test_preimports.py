"""Libraries that a worker imported are imported in its master."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from inference_server.reload.noticeboard import Noticeboard
from inference_server.reload.preimports import Preimports, imported_since, reseed


def import_reported(board: Noticeboard) -> None:
    done = threading.Event()
    preimports = Preimports(board, done.set)
    preimports.import_reported()
    assert done.wait(10)
    preimports.wait()
    assert not preimports.is_busy


def forget(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_libraries_are_told_from_what_the_user_edits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    forget(monkeypatch, "colorsys")
    (tmp_path / "edited_by_the_user.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    before = frozenset(sys.modules)

    import colorsys

    __import__("edited_by_the_user")

    assert imported_since(before) == {"colorsys": colorsys.__file__}


def test_what_is_reported_gets_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    import colorsys
    import xml.dom.minidom

    reported = {
        "colorsys": str(colorsys.__file__),
        "xml.dom.minidom": str(xml.dom.minidom.__file__),
    }
    forget(monkeypatch, *reported)
    board = Noticeboard()
    board.report_modules(reported)

    import_reported(board)

    assert reported.keys() <= sys.modules.keys()


def test_another_module_of_the_same_name_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch, "colorsys")
    board = Noticeboard()
    board.report_modules({"colorsys": "/elsewhere/colorsys.py", "no_such_module": "/x.py"})

    import_reported(board)

    assert "colorsys" not in sys.modules


def test_imports_that_fail_or_change_logging_do_no_harm(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sources = {
        "exits_on_preimport": "raise SystemExit",
        "logs_on_preimport": "import logging\nlogging.root.addHandler(logging.NullHandler())\n"
        "logging.root.setLevel(1)\nimport warnings\nwarnings.warn('old')\n",
    }
    for name, source in sources.items():
        (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    board = Noticeboard()
    board.report_modules({name: str(tmp_path / f"{name}.py") for name in sources})
    before = list(logging.root.handlers), logging.root.level

    import_reported(board)

    assert "logs_on_preimport" in sys.modules
    assert (list(logging.root.handlers), logging.root.level) == before


def test_nothing_is_imported_twice() -> None:
    board = Noticeboard()
    board.report_modules({"no_such_module": "/x.py"})
    done = threading.Event()
    preimports = Preimports(board, done.set)
    preimports.import_reported()
    assert done.wait(10)
    preimports.wait()

    preimports.import_reported()

    assert not preimports.is_busy


def test_forked_processes_draw_random_numbers_of_their_own() -> None:
    code = (
        "import os, numpy.random\n"
        "from inference_server.reload.preimports import reseed\n"
        "for _ in range(2):\n"
        "    if os.fork() == 0:\n"
        "        reseed(); print(numpy.random.random(), flush=True); os._exit(0)\n"
        "    os.wait()\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert len(set(done.stdout.split())) == 2


def test_without_numpy_there_is_nothing_to_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "numpy.random", raising=False)

    reseed()
