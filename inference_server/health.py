"""What `/livez` and `/readyz` say."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from http import HTTPStatus


class ServerState(enum.Enum):
    """What this worker can do for a client right now."""

    STARTING = "STARTING"
    READY = "READY"
    BUSY = "BUSY"
    FAILED = "FAILED"


@dataclass(frozen=True)
class Health:
    """A snapshot of one worker.

    Attributes:
        state: STARTING until `init()` has returned; BUSY while all places for `run()` are taken.
        running: Calls of `run()` going on.
        waiting: Requests in the queue.
        init_log: What was logged while the script loaded.
        error: Why the script cannot be served, on FAILED.
        reload_error: Why the script as it was saved last is not the one that serves.
    """

    state: ServerState
    running: int
    waiting: int
    init_log: tuple[str, ...]
    error: dict[str, object] | None = None
    reload_error: dict[str, object] | None = None

    def liveness(self) -> tuple[int, bytes]:
        """Status and body of `/livez`: is the process fine?"""
        status = (
            HTTPStatus.SERVICE_UNAVAILABLE if self.state is ServerState.FAILED else HTTPStatus.OK
        )
        return status, json.dumps({"state": self.state.value}).encode()

    def readiness(self) -> tuple[int, bytes]:
        """Status and body of `/readyz`: can it score?"""
        ready = self.state in (ServerState.READY, ServerState.BUSY)
        body: dict[str, object] = {
            "state": self.state.value,
            "requests_in_flight": self.running,
            "queue_length": self.waiting,
            "init_log": list(self.init_log),
        }
        if self.error is not None:
            body["error"] = self.error
        if self.reload_error is not None:
            body["reload_error"] = self.reload_error
        return (HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE), json.dumps(
            body
        ).encode()
