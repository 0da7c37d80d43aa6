"""The master's side of reload on save: which wish of the workers is new, and how it ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Any

from inference_server.reload.noticeboard import Noticeboard, Request
from inference_server.reload.preimports import Preimports

log = logging.getLogger("azmlinfsrv")


class Reloads:
    """What a master keeps about reloads; make it before the first fork.

    Args:
        wake: Makes the master call `forks_must_wait` and `next_request` again soon; called on
            another thread.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.board = Noticeboard()
        self._preimports = Preimports(self.board, wake)
        self._handled: Request | None = None

    def forks_must_wait(self) -> bool:
        """Import what workers reported; True while that goes on."""
        self._preimports.import_reported()
        return self._preimports.is_busy

    def wait_for_imports(self) -> None:
        """Return when forking is possible, for forks that cannot be put off."""
        self._preimports.wait()

    def next_request(self) -> Request | None:
        """A wish that has not been returned before; without a reason it takes the last one back."""
        request = self.board.request
        if request is None or request == self._handled:
            return None
        self._handled = request
        return request

    def note_success(self) -> None:
        """New workers have taken over."""
        self.board.clear_failure()
        if self._handled is not None and self.board.request == self._handled:
            # The same files may be wanted again, after others.
            self._handled = Request("", None)
            self.board.ask(self._handled)

    def note_failure(self, pids: Collection[int], why: str) -> None:
        """A new worker did not get as far as serving.

        Args:
            pids: The worker, which may be more than one process.
            why: How it ended, for one that could not say so itself.
        """
        error = self.board.failure
        if error is None or self.board.failure_by not in pids:
            error = {"type": "WorkerEnded", "message": why, "file": None, "line": None}
            self.board.report_failure(error, max(pids))
        log.error("%s", refusal(error))


def refusal(error: dict[str, Any]) -> str:
    """The log line about code that does not load, from the `error` object of `/readyz`."""
    place = f"{error['file']}:{error['line']}: " if error.get("file") else ""
    message = " ".join(str(error["message"]).splitlines())
    return f"Not reloaded: {place}{error['type']}: {message}; the old code keeps serving"
