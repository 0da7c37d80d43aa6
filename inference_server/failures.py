"""Where in the user's own code something failed, as a value: for the answer's body and the log.

Frames of the server, the standard library and installed packages are folded away: what is left is
code that the user can edit.
"""

from __future__ import annotations

import inspect
import linecache
import os
import site
import sysconfig
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any

LOG_LINES = 10
"""A failure takes at most so many lines in the log."""

MAX_FRAMES = 12
"""So many innermost frames of an exception are kept; endless recursion has hundreds."""

MAX_MESSAGE = 2000
"""Longer messages are cut: some libraries put the whole input into theirs."""

MAX_SOURCE = 200
"""Longer source lines are cut."""

_MAX_CAUSES = 3


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
        left_out: Frames of user code outside of `frames`.
    """

    type: str
    message: str
    frames: tuple[Frame, ...] = ()
    raised_in: str | None = None
    causes: tuple[Failure, ...] = ()
    path: str | None = None
    hint: str | None = None
    left_out: int = 0

    @property
    def summary(self) -> str:
        """`ValueError: text`, on one line."""
        message = " ".join(self.message.splitlines())
        return f"{self.type}: {message}" if message else self.type

    def as_json(self) -> dict[str, Any]:
        """The `error` object of an answer."""
        place = self.frames[-1] if self.frames else None
        trace = self._trace()
        for cause in self.causes:
            trace.append(f"caused by {cause.summary}")
            trace.extend(cause._trace())
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

    def _trace(self) -> list[str]:
        outer = [f"({self.left_out} more frames)"] if self.left_out else []
        return outer + [str(frame) for frame in self.frames]

    def log_lines(self) -> list[str]:
        """The failure for people: the summary, then the places, innermost first.

        No more than `LOG_LINES`; the innermost place of the exception and of its root cause are
        among them whatever else has to go.
        """
        chain = (self, *self.causes)
        taken = len(chain) + bool(self.path) + bool(self.hint)
        shown = _share_lines(chain, LOG_LINES - taken)
        lines: list[str] = []
        for failure, count in zip(chain, shown, strict=True):
            lines.append(f"{'  caused by ' if lines else ''}{failure.summary}")
            if failure is self and self.path:
                lines.append(f"  at {self.path}")
            for frame in list(reversed(failure.frames))[:count]:
                lines.append(f"  {frame.file}:{frame.line} in {frame.function}")
                lines.append(f"    {frame.source}")
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        if self.raised_in and len(lines) < LOG_LINES:
            lines.append(f"  raised in {self.raised_in}")
        unshown = self.left_out + len(self.frames) - shown[0]
        if unshown and len(lines) < LOG_LINES:
            lines.append(f"  ({unshown} more frames)")
        return lines


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
    frames, left_out = _user_frames(error)
    if not frames and fallback is not None:
        frames = (frame_of_code(fallback),)
    return Failure(
        type=type(error).__name__,
        message=_message(error),
        frames=frames,
        left_out=left_out,
        raised_in=_library_place(error),
        causes=tuple(_causes(error)),
        path=path,
        hint=hint or _hint(error),
    )


def _share_lines(chain: tuple[Failure, ...], lines: int) -> list[int]:
    """How many frames of each exception of a chain to show, of two lines each."""
    shown = [0] * len(chain)
    # The exception itself, its root cause, what lies between; then the exception's outer frames.
    order = [0, *range(len(chain) - 1, 0, -1), *[0] * len(chain[0].frames)]
    for index in order:
        if lines >= 2 and shown[index] < len(chain[index].frames):  # noqa: PLR2004 - place, source
            shown[index] += 1
            lines -= 2
    return shown


def _message(error: BaseException) -> str:
    """The text of an exception, whatever its class does when it is asked."""
    try:
        text = str(error.msg if isinstance(error, SyntaxError) and error.msg else error)
    except Exception as broken:  # noqa: BLE001 - the user's __str__ can raise anything
        return f"(its text cannot be shown: __str__ raised {type(broken).__name__})"
    if len(text) <= MAX_MESSAGE:
        return text
    return f"{text[:MAX_MESSAGE]}… ({len(text) - MAX_MESSAGE} more characters)"


def frame_of_code(code: CodeType) -> Frame:
    """The first line of a function, as a place."""
    return _frame(code, code.co_firstlineno)


def place_of(function: Callable[..., object]) -> str:
    """`score.py:12`: where a function is defined."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{display_path(code.co_filename)}:{code.co_firstlineno}" if code else "an unknown place"


def user_frames(stack: Iterable[FrameType]) -> tuple[Frame, ...]:
    """Those frames of a stack that are in user code."""
    return tuple(
        _frame(frame.f_code, frame.f_lineno)
        for frame in stack
        if is_user_file(frame.f_code.co_filename)
    )


def display_path(filename: str) -> str:
    """Relative to the current directory where that is shorter to read, else absolute."""
    try:
        path = os.path.abspath(filename)  # noqa: PTH100 - links stay as the user wrote them
        relative = os.path.relpath(path)
    except (OSError, ValueError):
        # The current directory is gone, or the file is on another drive.
        return filename
    return path if relative.startswith("..") else relative


def _directories() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    found = {paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")}
    found.update(site.getsitepackages() if hasattr(site, "getsitepackages") else ())
    found.add(site.getusersitepackages())
    return tuple(os.path.realpath(path) + os.sep for path in found)


_LIBRARY_DIRECTORIES = _directories()
_OWN_DIRECTORY = os.path.realpath(Path(__file__).parent) + os.sep


@lru_cache(maxsize=4096)
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
    return Frame(display_path(code.co_filename), line, code.co_name, source[:MAX_SOURCE])


def _walk(tb: TracebackType | None) -> Iterator[tuple[CodeType, int]]:
    for frame, line in traceback.walk_tb(tb):
        yield frame.f_code, line


def _user_frames(error: BaseException) -> tuple[tuple[Frame, ...], int]:
    """The innermost user frames, outermost first, and how many more there are."""
    innermost: deque[tuple[CodeType, int]] = deque(maxlen=MAX_FRAMES)
    total = 0
    for code, line in _walk(error.__traceback__):
        if is_user_file(code.co_filename):
            innermost.append((code, line))
            total += 1
    frames = tuple(_frame(code, line) for code, line in innermost)
    return frames + _place_of_syntax_error(error), total - len(innermost)


def _place_of_syntax_error(error: BaseException) -> tuple[Frame, ...]:
    # Code that makes its own SyntaxError can put anything into these attributes.
    if not isinstance(error, SyntaxError) or not isinstance(error.filename, str):
        return ()
    if not is_user_file(error.filename):
        return ()
    line = error.lineno if isinstance(error.lineno, int) else 0
    text = error.text if isinstance(error.text, str) else None
    source = (text or linecache.getline(error.filename, line)).strip()
    return (Frame(display_path(error.filename), line, "<module>", source[:MAX_SOURCE]),)


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
    for current in islice(_led_to(error), _MAX_CAUSES):
        frames, left_out = _user_frames(current)
        yield Failure(type(current).__name__, _message(current), frames, left_out=left_out)


def _led_to(error: BaseException) -> Iterator[BaseException]:
    """What is worth telling of the exceptions behind one: members of groups, causes, contexts."""
    seen = {id(error)}
    pending = _behind(error)
    while pending:
        current, is_meant = pending.pop(0)
        if id(current) not in seen:
            seen.add(id(current))
            # What a library handled inside itself on the way says nothing to the user.
            if is_meant or _user_frames(current)[0]:
                yield current
            pending[:0] = _behind(current)


def _behind(error: BaseException) -> list[tuple[BaseException, bool]]:
    """The exceptions directly behind one, and whether the code that raised it meant to say so."""
    is_group = any(kind.__name__ == "BaseExceptionGroup" for kind in type(error).__mro__)
    behind = [(member, True) for member in (getattr(error, "exceptions", ()) if is_group else ())]
    if error.__cause__ is not None:
        behind.append((error.__cause__, True))
    elif error.__context__ is not None and not error.__suppress_context__:
        behind.append((error.__context__, False))
    return behind


def _hint(error: BaseException) -> str | None:
    if isinstance(error, ModuleNotFoundError) and isinstance(error.name, str) and error.name:
        package = error.name.partition(".")[0]
        return (
            f"add `{package}` to the environment (pip install {_PACKAGES.get(package, package)}), "
            f"or put {package}.py beside the scoring script"
        )
    if isinstance(error, FileNotFoundError):
        model_dir = os.environ.get("AZUREML_MODEL_DIR")
        if not model_dir:
            return "AZUREML_MODEL_DIR is not set: pass --model_dir with the folder of the model"
        return f"AZUREML_MODEL_DIR is {model_dir}; relative paths start at {_current_directory()}"
    if isinstance(error, TypeError) and "NoneType" in _message(error) and _uses_model_dir(error):
        return "AZUREML_MODEL_DIR is not set: pass --model_dir with the folder of the model"
    return None


def _uses_model_dir(error: BaseException) -> bool:
    if os.environ.get("AZUREML_MODEL_DIR"):
        return False
    return any("AZUREML_MODEL_DIR" in frame.source for frame in _user_frames(error)[0])


def _current_directory() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return "a directory that is gone"


_PACKAGES = {"sklearn": "scikit-learn", "cv2": "opencv-python", "PIL": "pillow", "yaml": "pyyaml"}
"""Packages whose name on the index differs from the name that is imported."""


def model_tree(root: str, limit: int = 200) -> list[str]:
    """The files below a model folder, indented by depth, cut at `limit` lines."""
    lines: list[str] = []
    for line in _tree_lines(Path(os.path.abspath(root)), 0):  # noqa: PTH100 - links stay
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
        if _is_folder(entry):
            yield from _tree_lines(entry, depth + 1)
        else:
            yield f"{'    ' * (depth + 1)}{entry.name}"


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir() and not path.is_symlink()
    except OSError:
        return False
