"""What can go wrong, as far as a caller can do something about it.

ServerError
├── SettingsError              a value from the command line, environment or config file
├── PortError                  an address cannot be listened on; exit code 1
├── StartError                 the server cannot start; exit code 3
│   ├── ScriptError            the scoring script cannot be served as it is
│   ├── UserCodeError          the script's own code raised (import or `init()`)
│   └── OpenApiFileError       a document of the user's cannot be served (in `openapi`)
├── TelemetryUnavailable       telemetry was asked for and cannot start (in `telemetry`)
└── RequestError               this request is answered with a status below 500
    ├── InvalidInputError      the input does not fit what `run()` takes (422)
    ├── QueueFullError         no place left in the queue (429)
    ├── BodyTooLargeError      the body is over the limit (413)
    ├── IdTooLongError         a request id is too long (431; in `request_ids`)
    └── OpenApiVersionError    no document of the requested version (404; in `openapi`)
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

START_FAILED = 3
"""Exit code of a server whose scoring script cannot be served, as gunicorn's boot error."""


STUCK = 70
"""Exit code of a process whose `run()` never came back (EX_SOFTWARE of sysexits.h)."""


class ServerError(Exception):
    """Anything this package raises on purpose."""


@dataclass(frozen=True)
class SettingProblem:
    """One bad value: which setting, what was found where, what was expected."""

    variable: str
    message: str
    where: str


class SettingsError(ServerError):
    """One or more settings have values that cannot be used."""

    def __init__(self, problems: list[SettingProblem]) -> None:
        super().__init__("; ".join(f"{p.variable}: {p.message} ({p.where})" for p in problems))
        self.problems = problems


class PortError(ServerError):
    """An address cannot be listened on."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class StartError(ServerError):
    """The server cannot start serving; the process exits with code 3."""

    hint: str | None = None


class ScriptError(StartError):
    """The scoring script is missing, or lacks what a scoring script must have."""

    def __init__(self, message: str, *, location: str | None = None, hint: str | None = None):
        super().__init__(message)
        self.location = location
        self.hint = hint


class UserCodeError(StartError):
    """The script's own code raised: `__cause__` is what it raised."""

    def __init__(self, summary: str, *, hint: str | None = None) -> None:
        super().__init__(summary)
        self.hint = hint


class RequestError(ServerError):
    """The request is refused; `message` is the text of the answer's body."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class InvalidInputError(RequestError):
    """The input does not fit what `run()` takes; `path` leads to the value inside the body."""

    def __init__(self, message: str, *, path: str, error_type: str = "ValidationError") -> None:
        super().__init__(HTTPStatus.UNPROCESSABLE_ENTITY, message)
        self.path = path
        self.error_type = error_type


class BodyTooLargeError(RequestError):
    """The body is larger than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"The body is larger than {limit} bytes (--max_body_size).",
        )


class QueueFullError(RequestError):
    """All places among the running and waiting requests are taken."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(
            HTTPStatus.TOO_MANY_REQUESTS,
            "Too many requests are waiting for run(). Retry after the time in Retry-After.",
        )
        self.retry_after_s = retry_after_s
