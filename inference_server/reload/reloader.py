"""The worker's side of reload on save: notices a save, decides, and carries the decision out."""

from __future__ import annotations

import hashlib
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from inference_server.application import Application
from inference_server.failures import describe, display_path
from inference_server.reload.changes import (
    Broken,
    Decision,
    InPlace,
    NewWorker,
    decide,
)
from inference_server.reload.comparing import Version
from inference_server.reload.noticeboard import Noticeboard, Request
from inference_server.reload.preimports import imported_since, reseed
from inference_server.reload.reloads import refusal
from inference_server.reload.sources import LoadedSource, loaded_sources, remember_sources
from inference_server.reload.swapping import CannotSwapError, Swap
from inference_server.reload.watching import Watcher, folders_to_watch
from inference_server.scoring_script import user_folders

log = logging.getLogger("azmlinfsrv")

QUIET_S = 0.05
"""Editors write several files, or one in several steps: a save is over after so much silence."""

LONGEST_SAVE_S = 2.0

PATIENCE_S = 0.15
"""A file that is empty, gone or no Python gets so much longer: it may be half written."""

SWAP_PATIENCE_S = 10.0
"""How long a swap waits for the calls of `run()` that go on, while new ones wait for it."""


class Reloader:
    """Keeps one worker's code like that on disk.

    Args:
        application: The server of this process.
        board: Shared with the master and the other workers.
        wake_master: Makes the master look at the board.
        is_leaving: Whether this process is on its way out, and should leave things as they are.
    """

    def __init__(
        self,
        application: Application,
        board: Noticeboard,
        wake_master: Callable[[], None],
        is_leaving: Callable[[], bool],
    ) -> None:
        self._application = application
        self._settings = application.settings
        self._board = board
        self._wake_master = wake_master
        self._is_leaving = is_leaving
        self._folders = user_folders(self._settings)
        self._hints: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._inherited = frozenset[str]()
        self._others: dict[str, str] = {}
        self._tried = ""
        self._asked = ""

    # --- called by the engine ----------------------------------------------------------------

    def prepare(self) -> None:
        """Before the script loads: from now on, sources are remembered."""
        self._inherited = frozenset(sys.modules)
        reseed()
        remember_sources(self._folders)
        self._application.reload_error = lambda: self._board.failure

    def start(self) -> None:
        """Once the script is served: watch, on a thread of its own."""
        threading.Thread(target=self._work, name="reload", daemon=True).start()

    def note_failed_start(self) -> None:
        """The script could not be loaded; the workers that serve will show why."""
        if self._application.start_error is not None:
            error = self._application.start_error.as_json()
            self._board.report_failure(error, os.getpid())

    # --- noticing ----------------------------------------------------------------------------

    def _work(self) -> None:
        # One line for the first workers; those that follow a save watch the same.
        level = logging.INFO if self._board.request is None else logging.DEBUG
        watcher = Watcher(self._hints.put, self._settings.reload_polling, level)
        self._attempt(lambda: self._watch(watcher))
        # What was saved while the script loaded has made no event here.
        self._attempt(self._follow)
        self._attempt(self._report)
        while not self._is_leaving():
            self._wait_for_save()
            self._attempt(self._follow)
            self._attempt(lambda: self._watch(watcher))
        watcher.stop()

    @staticmethod
    def _attempt(action: Callable[[], None]) -> None:
        try:
            action()
        except Exception:
            log.exception("Reload on save met an internal error; the next save is tried again")

    def _watch(self, watcher: Watcher) -> None:
        script = self._settings.script_path
        folder = script.parent if script else Path(self._settings.app_root)
        watcher.watch(folders_to_watch(folder, [loaded.path for loaded in loaded_sources()]))

    def _report(self) -> None:
        """Tell the master what was imported, and everybody that what is on disk is served."""
        if not self._state(_versions(loaded_sources())):
            self._board.clear_failure()
        modules = imported_since(self._inherited)
        if modules:
            self._board.report_modules(modules)
            self._wake_master()

    def _wait_for_save(self) -> None:
        """Return once something was saved and the editor seems to be done."""
        self._note(self._hints.get())
        self._wait_for_quiet(QUIET_S)

    def _wait_for_quiet(self, seconds: float) -> None:
        """Wait until there was no hint for so long; not for ever."""
        give_up_at = time.monotonic() + LONGEST_SAVE_S
        with suppress(queue.Empty):
            while time.monotonic() < give_up_at:
                self._note(self._hints.get(timeout=seconds))

    def _note(self, path: str) -> None:
        """Remember what a file that is not loaded holds: the next attempt may import it."""
        if path.endswith(".py"):
            content = _read(path)
            self._others[path] = _digest(content) if content is not None else ""

    # --- deciding ----------------------------------------------------------------------------

    def _follow(self) -> None:
        """Make the running code that on disk, as far as possible."""
        loaded = loaded_sources()
        versions = _versions(loaded)
        if self._is_leaving() or self._state(versions) == self._tried:
            return
        decision = decide(versions, sys.modules)
        while _may_be_half_written(decision, versions):
            self._wait_for_quiet(PATIENCE_S)
            before, versions = versions, _versions(loaded)
            if versions == before:
                break
            decision = decide(versions, sys.modules)
        self._carry_out(decision, loaded, self._state(versions))

    def _state(self, versions: list[Version]) -> str:
        """Stands for what is on disk; the same text for the same files in every worker."""
        if all(version.new == version.old for version in versions):
            return ""
        loaded = {version.path for version in versions}
        parts = [f"{v.path}:{_digest(v.new or b'')}" for v in versions]
        parts += [f"{path}:{d}" for path, d in self._others.items() if path not in loaded]
        return _digest("\n".join(sorted(parts)).encode())

    # --- carrying out ------------------------------------------------------------------------

    def _carry_out(self, decision: Decision, loaded: list[LoadedSource], state: str) -> None:
        if isinstance(decision, InPlace):
            decision = self._swap(decision, loaded)
        self._tried = state
        if isinstance(decision, NewWorker):
            self._ask(Request(state, decision.reason))
        elif isinstance(decision, Broken):
            self._withdraw()
            self._refuse(decision.error)
        else:
            if isinstance(decision, InPlace):
                self._tried = ""
                log.info("Reloaded in place: %s; init() was not called", decision.shown)
            elif self._board.failure is not None:
                log.info("Reloaded: the files are again as they were loaded")
            self._withdraw()
            self._board.clear_failure()

    def _swap(self, decision: InPlace, loaded: list[LoadedSource]) -> InPlace | NewWorker:
        by_path = {source.path: source for source in loaded}
        try:
            swap = Swap(decision, {path: found.module for path, found in by_path.items()})
        except CannotSwapError as error:
            return NewWorker(str(error))
        # Stopped at a breakpoint, a call may take as long as the developer does.
        patience_s = None if self._settings.debug_port else SWAP_PATIENCE_S
        with self._application.quiet(patience_s) as is_quiet:
            if not is_quiet:
                return NewWorker("a call of run() goes on with the code that changed")
            try:
                swap.apply()
                self._application.describe_again()
            except Exception as error:  # noqa: BLE001 - whatever it is, a new worker tells of it
                swap.undo()
                return NewWorker(f"{decision.shown} cannot change in place: {error}")
        for plan in decision.plans:
            by_path[plan.version.path].loader.source = plan.version.new or b""
        return decision

    def _ask(self, request: Request) -> None:
        self._asked = request.state
        if self._board.ask(request):
            log.info("Starting a new worker: %s", request.reason)
        self._wake_master()

    def _withdraw(self) -> None:
        """What was asked for is out of date; what other workers asked for may not be."""
        asked, self._asked = self._asked, ""
        request = self._board.request
        if asked and request is not None and request.state == asked:
            self._board.ask(Request("", None))
            self._wake_master()

    def _refuse(self, error: SyntaxError) -> None:
        failure = describe(error).as_json()
        if self._board.report_failure(failure, os.getpid()):
            log.error("%s", refusal(failure))


def _versions(loaded: list[LoadedSource]) -> list[Version]:
    return [
        Version(
            name=source.module.__name__,
            path=source.path,
            shown=display_path(source.path),
            old=source.source,
            new=_read(source.path),
            other_names=(Path(source.path).stem,),
        )
        for source in sorted(loaded, key=lambda found: found.path)
    ]


def _may_be_half_written(decision: Decision, versions: list[Version]) -> bool:
    return isinstance(decision, Broken) or any(
        not (version.new or b"").strip() and version.new != version.old for version in versions
    )


def _read(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except OSError:
        return None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
