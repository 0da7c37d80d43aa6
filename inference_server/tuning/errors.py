"""Why `azmlinfsrv tune` stops, with the exit code that says so."""

from __future__ import annotations

from inference_server.errors import ServerError


class TuneError(ServerError):
    """Something that the user can mend; `exit_code` is 1, 2 or 3 as for `azmlinfsrv` itself."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
