"""Tells that files may have changed: from the system's events, or by looking where there are none.

What it says is a hint only; whoever listens compares contents. So it does not matter in which way
an editor saves, and events that mean nothing cost next to nothing.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

log = logging.getLogger("azmlinfsrv")

POLL_S = 0.2

_EVENTS = frozenset({"created", "modified", "moved", "deleted", "closed"})
"""Reading a file makes events too, which would never end."""

_SILENT_FILE_SYSTEMS = (
    "9p", "virtiofs", "fuse", "nfs", "cifs", "smb", "vboxsf", "vmhgfs", "prl_fs", "fakeowner",
    "grpcfuse", "drvfs", "overlay", "afs", "ceph",
)  # fmt: skip
"""Beginnings of types whose files change without an event here: on the host, or elsewhere."""

_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages"})


@dataclass(frozen=True)
class Folder:
    """A folder to watch, with or without all that is below it."""

    path: str
    deep: bool


def folders_to_watch(script_folder: Path, files: Iterable[str]) -> frozenset[Folder]:
    """The script's folder, the packages in it, and the folders of other loaded files.

    Environments, caches and hidden folders are left out: they can hold tens of thousands of files.
    """
    root = script_folder.resolve()
    found = {Folder(str(root), deep=False)} if root.is_dir() else set[Folder]()
    for name in files:
        folder = Path(name).resolve().parent
        if folder == root or not folder.is_dir():
            continue
        if folder.is_relative_to(root):
            found.add(Folder(str(root / folder.relative_to(root).parts[0]), deep=True))
        else:
            found.add(Folder(str(folder), deep=False))
    for entry in _entries(str(root)):
        if entry.is_dir() and entry.name.isidentifier() and _holds_python(entry.path):
            found.add(Folder(entry.path, deep=True))
    return frozenset(found)


def _holds_python(folder: str) -> bool:
    return any(entry.name.endswith(".py") for entry in _entries(folder))


def _entries(folder: str | None) -> Iterator[os.DirEntry[str]]:
    """What a folder holds of interest: Python files, and folders that may hold some."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if _is_skipped(entry.name):
            continue
        is_folder = entry.is_dir(follow_symlinks=False)
        is_environment = is_folder and Path(entry.path, "pyvenv.cfg").exists()
        if (is_folder and not is_environment) or entry.name.endswith(".py"):
            yield entry


def _is_skipped(name: str) -> bool:
    return name.startswith(".") or name in _SKIPPED


def must_poll(folder: str, mounts: str) -> bool:
    """Whether files of a folder change without events.

    Args:
        folder: An absolute path.
        mounts: The text of `/proc/self/mountinfo`; empty where there is none.
    """
    best, kind = "", ""
    for line in mounts.splitlines():
        fields, _, rest = line.partition(" - ")
        point = fields.split()[4].encode().decode("unicode_escape")
        inside = folder == point or folder.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, rest.split()[0]
    return kind.startswith(_SILENT_FILE_SYSTEMS)


class Watcher:
    """Calls a function with each path that may have changed, on a thread of its own.

    Args:
        hint: Told of Python files and of folders.
        polling: True to look instead of being told; None to choose by the file system.
        level: How loud to say what is watched.
    """

    def __init__(
        self, hint: Callable[[str], None], polling: bool | None, level: int = logging.INFO
    ) -> None:
        self._hint = hint
        self._level = level
        self._polling = polling
        self._observer: Any = None
        self._is_polling = False
        self._watches: dict[Folder, Any] = {}

    def watch(self, folders: frozenset[Folder]) -> None:
        """Watch these folders from now on, and no others."""
        if folders == self._watches.keys():
            return
        if self._observer is None:
            polling = self._polling
            if polling is None:
                mounts = _mounts()
                polling = any(must_poll(folder.path, mounts) for folder in folders)
            self._start(polling)
            self._log(folders, "looking every 0.2 s" if polling else "by the system's events")
            self._is_polling = polling
        try:
            self._schedule(folders)
        except OSError as error:
            if self._is_polling:
                log.warning("Reload on save cannot watch a folder: %s", error)
                return
            # Usually the user's limit on inotify watches or instances is reached.
            self.stop()
            self._start(polling=True)
            self._is_polling = True
            self._log(folders, f"looking every 0.2 s ({error.strerror or error})")
            self._schedule(folders)

    def stop(self) -> None:
        """Watch nothing any more."""
        if self._observer is not None:
            self._observer.stop()
            self._observer = None
            self._watches = {}

    def _start(self, polling: bool) -> None:
        # Imported late: only workers that reload pay for it, and not before they serve.
        from watchdog.observers import Observer
        from watchdog.observers.polling import PollingObserverVFS

        if polling:
            self._observer = PollingObserverVFS(os.stat, _entries, polling_interval=POLL_S)
        else:
            self._observer = Observer()
        self._observer.daemon = True
        self._observer.start()

    def _schedule(self, folders: frozenset[Folder]) -> None:
        for folder in [folder for folder in self._watches if folder not in folders]:
            self._observer.unschedule(self._watches.pop(folder))
        for folder in folders - self._watches.keys():
            handler = _Handler(self._hint)
            self._watches[folder] = self._observer.schedule(
                handler, folder.path, recursive=folder.deep
            )

    def _log(self, folders: frozenset[Folder], how: str) -> None:
        shown = ", ".join(sorted(folder.path for folder in folders))
        log.log(self._level, "Reload on save: watching %s (%s)", shown, how)


class _Handler:
    """What watchdog calls for each event."""

    def __init__(self, hint: Callable[[str], None]) -> None:
        self._hint = hint

    def dispatch(self, event: Any) -> None:
        if event.event_type not in _EVENTS or (
            event.is_directory and event.event_type == "modified"
        ):
            return
        for path in (event.src_path, getattr(event, "dest_path", "")):
            name = os.path.basename(os.fsdecode(path))  # noqa: PTH119 - strings, many of them
            if name and not _is_skipped(name) and (event.is_directory or name.endswith(".py")):
                self._hint(os.fsdecode(path))


def _mounts() -> str:
    if not sys.platform.startswith("linux"):
        return ""
    try:
        return Path("/proc/self/mountinfo").read_text("utf-8", errors="replace")
    except OSError:
        return ""
