"""What master and workers tell each other about reloads, in memory they share.

One anonymous mapping, made before the first fork, with a fixed place for each kind of notice. A
notice carries a checksum: one that is just being written reads as none, and is read again later.
"""

from __future__ import annotations

import json
import mmap
import struct
import zlib
from dataclasses import asdict, dataclass, replace
from typing import Any

_HEAD = struct.Struct("<II")

_REQUEST_BYTES = 4096
_FAILURE_BYTES = 64 << 10
_MODULES_BYTES = 1 << 20
_REASON = 400


@dataclass(frozen=True)
class Request:
    """What workers want of the master.

    Attributes:
        state: Stands for what is on disk: the same state is never tried twice.
        reason: Why a new worker is wanted; None when none is, any more.
    """

    state: str
    reason: str | None


class Noticeboard:
    """The notices; any process writes and reads them."""

    def __init__(self) -> None:
        sizes = (_REQUEST_BYTES, _FAILURE_BYTES, _MODULES_BYTES)
        memory = memoryview(mmap.mmap(-1, sum(sizes)))
        self._request = _Notice(memory[: sizes[0]])
        self._failure = _Notice(memory[sizes[0] : sizes[0] + sizes[1]])
        self._modules = _Notice(memory[sizes[0] + sizes[1] :])

    @property
    def request(self) -> Request | None:
        """The latest wish of any worker."""
        found = self._request.read()
        return Request(**found) if found else None

    def ask(self, request: Request) -> bool:
        """Put up a wish; False when it was there already."""
        if request.reason is not None:
            request = replace(request, reason=request.reason[:_REASON])
        if self.request == request:
            return False
        self._request.write(asdict(request))
        return True

    @property
    def failure(self) -> dict[str, Any] | None:
        """Why the latest code is not served, as an `error` object; None when it is."""
        found = self._failure.read()
        return found["error"] if found else None

    @property
    def failure_by(self) -> int | None:
        """The process that reported the failure."""
        found = self._failure.read()
        return found["pid"] if found else None

    def report_failure(self, error: dict[str, Any], pid: int) -> bool:
        """Say why the latest code is not served; False when that was said already."""
        is_news = self.failure != error
        notice = {"error": error, "pid": pid}
        if not self._failure.write(notice):
            self._failure.write({**notice, "error": {**error, "traceback": [], "source": None}})
        return is_news

    def clear_failure(self) -> None:
        """The latest code is served."""
        if self.failure is not None:
            self._failure.write(None)

    @property
    def modules(self) -> dict[str, str]:
        """Modules that a worker has imported and the master had not: name to file."""
        found = self._modules.read()
        return dict(found) if found else {}

    def report_modules(self, modules: dict[str, str]) -> None:
        """Say what a worker has imported; more than there is room for is left out."""
        names = list(modules)
        while not self._modules.write({name: modules[name] for name in names}):
            del names[len(names) // 2 :]


class _Notice:
    """A JSON value in a fixed piece of memory."""

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory

    def read(self) -> Any:
        length, checksum = _HEAD.unpack_from(self._memory)
        content = bytes(self._memory[_HEAD.size : _HEAD.size + length])
        return json.loads(content) if length and zlib.crc32(content) == checksum else None

    def write(self, value: Any) -> bool:
        """Put a value up; False when there is no room for it."""
        content = json.dumps(value).encode()
        if _HEAD.size + len(content) > len(self._memory):
            return False
        _HEAD.pack_into(self._memory, 0, 0, 0)
        self._memory[_HEAD.size : _HEAD.size + len(content)] = content
        _HEAD.pack_into(self._memory, 0, len(content), zlib.crc32(content))
        return True
