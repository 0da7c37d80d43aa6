"""Has the master import what its workers imported, so that new ones are forked with it.

Only what lies outside of the user's folders: libraries, which do not change while one edits.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Container

from inference_server.failures import is_user_file
from inference_server.reload.noticeboard import Noticeboard

log = logging.getLogger("azmlinfsrv")

_LEFT_OUT = frozenset({
    "__main__", "azureml", "azureml_inference_server_http", "debugpy", "inference_schema",
    "inference_server", "pydevd",
})  # fmt: skip
"""Debuggers, and what the server provides or mends when a script imports it."""

_WITHOUT_FILE = ("built-in", "frozen")


def imported_since(before: Container[str]) -> dict[str, str]:
    """The libraries that were imported since: names and files, in the order of their import."""
    found: dict[str, str] = {}
    for name, module in tuple(sys.modules.items()):
        spec = getattr(module, "__spec__", None)
        origin = getattr(spec, "origin", None)
        if name in before or spec is None or spec.name != name or not isinstance(origin, str):
            continue
        package = name.partition(".")[0]
        if package in _LEFT_OUT or package.startswith(("_pydev", "pydev")):
            continue
        if origin in _WITHOUT_FILE or not is_user_file(origin):
            found[name] = origin
    return found


class Preimports:
    """The master's side: imports what is reported, on a thread of its own.

    Nothing may be forked meanwhile: a process forked in the middle of an import has half a module.

    Args:
        board: Where workers report.
        when_done: Called on that thread when forking is possible again.
    """

    def __init__(self, board: Noticeboard, when_done: Callable[[], None]) -> None:
        self._board = board
        self._when_done = when_done
        self._is_done = threading.Event()
        self._is_done.set()
        self._seen: frozenset[str] = frozenset()

    @property
    def is_busy(self) -> bool:
        """Whether imports go on."""
        return not self._is_done.is_set()

    def wait(self) -> None:
        """Return when no imports go on."""
        self._is_done.wait()

    def import_reported(self) -> None:
        """Start importing what workers have reported since the last call; returns at once."""
        modules = self._board.modules
        if self.is_busy or not (modules.keys() - self._seen):
            return
        self._seen |= modules.keys()
        self._is_done.clear()
        threading.Thread(
            target=self._import_all, args=(modules,), name="preimports", daemon=True
        ).start()

    def _import_all(self, modules: dict[str, str]) -> None:
        handlers, level = list(logging.root.handlers), logging.root.level
        try:
            with warnings.catch_warnings():
                # The worker that imported them first has shown what there is to show.
                warnings.simplefilter("ignore")
                for name, origin in modules.items():
                    _import(name, origin)
        finally:
            logging.root.handlers[:] = handlers
            logging.root.setLevel(level)
            self._is_done.set()
            self._when_done()


def _import(name: str, origin: str) -> None:
    if name in sys.modules:
        return
    try:
        if "." not in name:
            spec = importlib.util.find_spec(name)
            if spec is None or spec.origin != origin:
                return
        elif name.partition(".")[0] not in sys.modules:
            return
        importlib.import_module(name)
    except BaseException as error:  # noqa: BLE001 - new workers import it themselves
        log.debug("%s is not imported in the master: %s", name, error)


def reseed() -> None:
    """In a new worker: random numbers of its own, not those that its siblings draw."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
