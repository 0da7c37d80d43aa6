"""Where in the user's own code something failed, as a value: for the answer's body and the log.

Frames of the server, the standard library and installed packages are folded away: what is left is
code that the user can edit.
"""

from __future__ import annotations

import inspect
import linecache
import os
import site
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any

LOG_LINES = 10
"""A failure takes at most so many lines in the log."""


@dataclass(frozen=True)
class Frame:
    """One line of user code on the way to a failure."""

    file: str
    line: int
    function: str
    source: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}: {self.source}"


@dataclass(frozen=True)
class Failure:
    """What failed and where in the user's code.

    Attributes:
        type: Name of the exception class.
        message: Its text.
        frames: User frames, outermost first; the last one is the place to look at.
        raised_in: Library file and line, when the exception was raised below user code.
        causes: The same for each exception that led to this one, nearest first.
        path: Where in the input or output the offending value is, such as `$.data[2]`.
        hint: What to do next.
    """

    type: str
    message: str
    frames: tuple[Frame, ...] = ()
    raised_in: str | None = None
    causes: tuple[Failure, ...] = ()
    path: str | None = None
    hint: str | None = None

    @property
    def summary(self) -> str:
        """`ValueError: text`, on one line."""
        message = " ".join(self.message.split("\n"))
        return f"{self.type}: {message}" if message else self.type

    def as_json(self) -> dict[str, Any]:
        """The `error` object of an answer."""
        place = self.frames[-1] if self.frames else None
        trace = [str(frame) for frame in self.frames]
        for cause in self.causes:
            trace.append(f"caused by {cause.summary}")
            trace.extend(str(frame) for frame in cause.frames)
        body: dict[str, Any] = {
            "type": self.type,
            "message": self.message,
            "file": place.file if place else None,
            "line": place.line if place else None,
            "function": place.function if place else None,
            "source": place.source if place else None,
            "traceback": trace,
        }
        for key in ("path", "hint", "raised_in"):
            if getattr(self, key) is not None:
                body[key] = getattr(self, key)
        return body

    def log_lines(self) -> list[str]:
        """The failure for people: the summary, then the places, innermost first."""
        lines = [self.summary]
        if self.path:
            lines.append(f"  at {self.path}")
        for cause in (self, *self.causes):
            if cause is not self:
                lines.append(f"  caused by {cause.summary}")
            for frame in reversed(cause.frames):
                lines.append(f"  {frame.file}:{frame.line} in {frame.function}")
                lines.append(f"    {frame.source}")
        tail = [f"  hint: {self.hint}"] if self.hint else []
        return lines[: LOG_LINES - len(tail)] + tail


def describe(
    error: BaseException,
    *,
    fallback: CodeType | None = None,
    path: str | None = None,
    hint: str | None = None,
) -> Failure:
    """The failure behind an exception.

    Args:
        error: What was raised.
        fallback: Code to point at when no user frame was involved (a return value that cannot be
            encoded, say): usually the code of `run`.
        path: Where in the input or output the offending value is.
        hint: What to do next; a few common causes bring a hint of their own.
    """
    frames = tuple(_user_frames(error))
    if not frames and fallback is not None:
        frames = (frame_of_code(fallback),)
    return Failure(
        type=type(error).__name__,
        message=str(error) if not isinstance(error, SyntaxError) else (error.msg or str(error)),
        frames=frames,
        raised_in=_library_place(error),
        causes=tuple(_causes(error)),
        path=path,
        hint=hint or _hint(error),
    )


def frame_of_code(code: CodeType) -> Frame:
    """The first line of a function, as a place."""
    source = linecache.getline(code.co_filename, code.co_firstlineno).strip()
    return Frame(display_path(code.co_filename), code.co_firstlineno, code.co_name, source)


def place_of(function: Callable[..., object]) -> str:
    """`score.py:12`: where a function is defined."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{display_path(code.co_filename)}:{code.co_firstlineno}" if code else "an unknown place"


def where_is(thread_id: int) -> tuple[Frame, ...]:
    """The user frames that a running thread is in, outermost first."""
    stack: list[FrameType] = []
    frame = sys._current_frames().get(thread_id)
    while frame is not None:
        stack.append(frame)
        frame = frame.f_back
    return user_frames(reversed(stack))


def user_frames(stack: Iterable[FrameType]) -> tuple[Frame, ...]:
    """Those frames of a stack that are in user code."""
    return tuple(
        _frame(frame.f_code, frame.f_lineno)
        for frame in stack
        if is_user_file(frame.f_code.co_filename)
    )


def display_path(filename: str) -> str:
    """Relative to the current directory where that is shorter to read, else absolute."""
    path = os.path.abspath(filename)  # noqa: PTH100 - links stay as the user wrote them
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def _directories() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    found = {paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")}
    found.update(site.getsitepackages() if hasattr(site, "getsitepackages") else ())
    found.add(site.getusersitepackages())
    return tuple(os.path.realpath(path) + os.sep for path in found)


_LIBRARY_DIRECTORIES = _directories()
_OWN_DIRECTORY = os.path.realpath(Path(__file__).parent) + os.sep


def is_user_file(filename: str) -> bool:
    """Whether code of a file is the user's: not ours, not Python's, not an installed package's."""
    if filename.startswith("<"):
        return False
    path = os.path.realpath(filename)
    return (
        not path.startswith((*_LIBRARY_DIRECTORIES, _OWN_DIRECTORY))
        and f"{os.sep}site-packages{os.sep}" not in path
    )


def _frame(code: CodeType, line: int) -> Frame:
    source = linecache.getline(code.co_filename, line).strip()
    return Frame(display_path(code.co_filename), line, code.co_name, source)


def _walk(tb: TracebackType | None) -> Iterator[tuple[CodeType, int]]:
    for frame, line in traceback.walk_tb(tb):
        yield frame.f_code, line


def _user_frames(error: BaseException) -> Iterator[Frame]:
    for code, line in _walk(error.__traceback__):
        if is_user_file(code.co_filename):
            yield _frame(code, line)
    if isinstance(error, SyntaxError) and error.filename and is_user_file(error.filename):
        source = (error.text or linecache.getline(error.filename, error.lineno or 0)).strip()
        yield Frame(display_path(error.filename), error.lineno or 0, "<module>", source)


def _library_place(error: BaseException) -> str | None:
    places = list(_walk(error.__traceback__))
    if not places or is_user_file(places[-1][0].co_filename):
        return None
    code, line = places[-1]
    if code.co_filename.startswith("<") or os.path.realpath(code.co_filename).startswith(
        _OWN_DIRECTORY
    ):
        return None
    return f"{code.co_filename}:{line}"


def _causes(error: BaseException) -> Iterator[Failure]:
    seen = {id(error)}
    current = error
    for _ in range(3):
        following = current.__cause__ or (
            None if current.__suppress_context__ else current.__context__
        )
        if following is None or id(following) in seen:
            return
        seen.add(id(following))
        current = following
        frames = tuple(_user_frames(current))
        if frames:
            yield Failure(type(current).__name__, str(current), frames)


def _hint(error: BaseException) -> str | None:
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        return (
            f"add `{package}` to the environment (pip install {_PACKAGES.get(package, package)}), "
            f"or put {package}.py beside the scoring script"
        )
    if isinstance(error, FileNotFoundError):
        model_dir = os.environ.get("AZUREML_MODEL_DIR")
        if not model_dir:
            return "AZUREML_MODEL_DIR is not set: pass --model_dir with the folder of the model"
        return f"AZUREML_MODEL_DIR is {model_dir}; relative paths start at {Path.cwd()}"
    if isinstance(error, TypeError) and "NoneType" in str(error) and _uses_model_dir(error):
        return "AZUREML_MODEL_DIR is not set: pass --model_dir with the folder of the model"
    return None


def _uses_model_dir(error: BaseException) -> bool:
    if os.environ.get("AZUREML_MODEL_DIR"):
        return False
    return any("AZUREML_MODEL_DIR" in frame.source for frame in _user_frames(error))


_PACKAGES = {"sklearn": "scikit-learn", "cv2": "opencv-python", "PIL": "pillow", "yaml": "pyyaml"}
"""Packages whose name on the index differs from the name that is imported."""


def model_tree(root: str, limit: int = 200) -> list[str]:
    """The files below a model folder, indented by depth, cut at `limit` lines."""
    lines: list[str] = []
    for line in _tree_lines(Path(root), 0):
        if len(lines) == limit:
            lines.append(f"Output Truncated. First {limit} lines shown.")
            break
        lines.append(line)
    return lines


def _tree_lines(folder: Path, depth: int) -> Iterator[str]:
    yield f"{'    ' * depth}{folder.name}/"
    try:
        entries: Iterable[Path] = sorted(folder.iterdir())
    except OSError as error:
        yield f"{'    ' * (depth + 1)}({error.strerror})"
        return
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink():
            yield from _tree_lines(entry, depth + 1)
        else:
            yield f"{'    ' * (depth + 1)}{entry.name}"
