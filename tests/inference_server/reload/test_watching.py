"""Where saves are looked for, and how: told by the system, or by looking."""

from __future__ import annotations

import errno
import queue
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference_server.reload.watching import Folder, Watcher, folders_to_watch, must_poll
from tests.servers import poll

MOUNTS = """\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 27 0:25 / /work rw,nosuid shared:1 - fakeowner /run/host rw
31 27 0:26 / /work/on\\040disk rw - xfs /dev/vdb rw
32 27 0:27 / /remote rw - nfs4 host:/x rw
33 27 0:28 / /mac rw - fuse.grpcfuse grpcfuse rw
34 27 0:29 / /windows rw - 9p drvfs rw
"""


@pytest.mark.parametrize(
    ("folder", "polls"),
    [
        ("/home/me", False),
        ("/work", True),
        ("/work/code", True),
        ("/workshop", False),
        ("/work/on disk/code", False),
        ("/remote/code", True),
        ("/mac", True),
        ("/windows/code", True),
    ],
)
def test_file_systems_without_events_are_polled(folder: str, polls: bool) -> None:
    assert must_poll(folder, MOUNTS) is polls


def test_the_layers_of_a_container_are_polled() -> None:
    assert must_poll("/code", "1 0 0:1 / / rw - overlay overlay rw,lowerdir=/x")


def test_without_a_table_of_mounts_events_are_trusted() -> None:
    assert not must_poll("/code", "")


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_the_scripts_folder_its_packages_and_folders_of_loaded_files_are_watched(
    tmp_path: Path,
) -> None:
    code, other = tmp_path / "code", tmp_path / "other"
    make(code, "score.py", "package/__init__.py", "namespace/inner/module.py", "data/x.csv")
    make(code, ".venv/x.py", "env/pyvenv.cfg", "env/x.py", "__pycache__/x.py", "node_modules/x.py")
    make(other, "helper.py")

    found = folders_to_watch(
        code, [str(code / "namespace/inner/module.py"), str(other / "helper.py")]
    )

    assert found == {
        Folder(str(code), deep=False),
        Folder(str(code / "package"), deep=True),
        Folder(str(code / "namespace"), deep=True),
        Folder(str(other), deep=False),
    }


def test_folders_that_are_gone_are_not_watched(tmp_path: Path) -> None:
    assert folders_to_watch(tmp_path / "gone", [str(tmp_path / "lost/x.py")]) == frozenset()


@pytest.fixture
def hints() -> queue.SimpleQueue[str]:
    return queue.SimpleQueue()


@pytest.fixture(params=[True, False], ids=["polling", "events"])
def watcher(request: pytest.FixtureRequest, hints: queue.SimpleQueue[str]) -> Iterator[Watcher]:
    watcher = Watcher(hints.put, request.param)
    yield watcher
    watcher.stop()


def hinted(hints: queue.SimpleQueue[str], path: Path) -> None:
    """Wait for a hint about a path; those about others are passed over."""
    while hints.get(timeout=10) != str(path):
        pass


def test_python_files_and_folders_give_hints(
    watcher: Watcher, hints: queue.SimpleQueue[str], tmp_path: Path
) -> None:
    deep = tmp_path / "package" / "deep"
    deep.mkdir(parents=True)
    watcher.watch(
        frozenset({Folder(str(tmp_path), deep=False), Folder(str(deep.parent), deep=True)})
    )

    (tmp_path / "score.py").write_text("x")
    hinted(hints, tmp_path / "score.py")
    (deep / "module.py").write_text("x")
    hinted(hints, deep / "module.py")
    (tmp_path / "score.py.new").write_text("y")
    (tmp_path / "score.py.new").replace(tmp_path / "other.py")
    hinted(hints, tmp_path / "other.py")
    (tmp_path / "new_package").mkdir()
    hinted(hints, tmp_path / "new_package")
    (deep / "module.py").unlink()
    hinted(hints, deep / "module.py")


def test_nothing_else_gives_hints(
    watcher: Watcher, hints: queue.SimpleQueue[str], tmp_path: Path
) -> None:
    (tmp_path / "score.py").write_text("x")
    (tmp_path / "__pycache__").mkdir()
    watcher.watch(frozenset({Folder(str(tmp_path), deep=True)}))

    (tmp_path / "score.py").read_text()
    (tmp_path / "model.bin").write_text("x")
    (tmp_path / ".score.py.swp").write_text("x")
    (tmp_path / "last.py").write_text("x")

    assert hints.get(timeout=10) == str(tmp_path / "last.py")


def test_folders_can_be_added(
    watcher: Watcher, hints: queue.SimpleQueue[str], tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    watcher.watch(frozenset({Folder(str(first), deep=False)}))

    watcher.watch(frozenset({Folder(str(second), deep=False)}))

    (first / "a.py").write_text("x")
    (second / "b.py").write_text("x")
    hinted(hints, second / "b.py")


def test_without_room_for_more_inotify_watches_it_polls(
    hints: queue.SimpleQueue[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Limited(Watcher):
        def _schedule(self, folders: frozenset[Folder]) -> None:
            if not self._is_polling:
                raise OSError(errno.EMFILE, "inotify instance limit reached")
            super()._schedule(folders)

    watcher = Limited(hints.put, polling=False)

    with caplog.at_level("INFO", "azmlinfsrv"):
        watcher.watch(frozenset({Folder(str(tmp_path), deep=False)}))

    assert "looking every 0.2 s (inotify instance limit reached)" in caplog.text
    (tmp_path / "a.py").write_text("x")
    hinted(hints, tmp_path / "a.py")
    watcher.stop()
    poll(hints.empty, 5)
