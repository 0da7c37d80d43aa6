"""Log lines: their shape for people and for machines, their streams, and the hook for `print`.

`AMLLogFormatter` and `RootAccessFilter` keep the names that users' `logging.json` files refer to.
"""

from __future__ import annotations

import builtins
import json
import logging
import logging.config
import sys
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from inference_server.errors import StartError
from inference_server.request_context import RequestLabels, current_request
from inference_server.settings import Settings

if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[TextIO]
else:
    # Subscriptable at run time only from Python 3.11 on.
    _StreamHandler = logging.StreamHandler

LINE = "%(asctime)s %(levelname).1s [%(process)d] %(name)s - %(message)s"
"""Shape of a text line: UTC time, level letter, process id, logger, message."""

log = logging.getLogger("azmlinfsrv")
print_log = logging.getLogger("azmlinfsrv.print")


class _RequestAwareFormatter(logging.Formatter):
    """Formats times in UTC and knows the request a record belongs to."""

    converter = staticmethod(time.gmtime)

    @staticmethod
    def labels(record: logging.LogRecord) -> RequestLabels | None:
        return getattr(record, "request", None) or current_request.get()


class AMLLogFormatter(_RequestAwareFormatter):
    """Text lines as the reference writes them, with the request id at the end of the first line."""

    def __init__(
        self, fmt: str | None = None, datefmt: str | None = None, style: Any = "%"
    ) -> None:
        super().__init__(fmt or LINE, datefmt, style)

    def format(self, record: logging.LogRecord) -> str:
        """The line, with the request id when there is a request."""
        return _with_request_id(super().format(record), self.labels(record))


def _with_request_id(line: str, labels: RequestLabels | None) -> str:
    if labels is None:
        return line
    if "\n" not in line:
        return f"{line} [{labels.request_id}]"
    first, _, rest = line.partition("\n")
    return f"{first} [{labels.request_id}]\n{rest}"


class FastLineFormatter(AMLLogFormatter):
    """`AMLLogFormatter` in its default shape, without formatting the same second twice."""

    def __init__(self) -> None:
        super().__init__()
        self._second = -1
        self._prefix = ""

    def format(self, record: logging.LogRecord) -> str:
        """The line, made by `line`."""
        line = self.line(
            record.created,
            record.levelname[0],
            record.process,
            record.name,
            record.getMessage(),
            self.labels(record),
        )
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return f"{line}\n{record.stack_info}" if record.stack_info else line

    def line(
        self,
        created: float,
        letter: str,
        process: int | None,
        name: str,
        message: str,
        labels: RequestLabels | None,
    ) -> str:
        """The line for values that need not be in a log record."""
        line = f"{self.time(created)} {letter} [{process}] {name} - {message}"
        return _with_request_id(line, labels)

    def time(self, created: float) -> str:
        """The time as a line begins with it, for seconds since the epoch."""
        second = int(created)
        if second != self._second:
            self._prefix = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(second))
            self._second = second
        return f"{self._prefix},{int((created - second) * 1000):03d}"


class JsonLogFormatter(_RequestAwareFormatter):
    """One JSON object a line, with `request_id` and `trace_id` where there is a request."""

    def format(self, record: logging.LogRecord) -> str:
        """The object, on one line."""
        created = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry: dict[str, Any] = {
            "timestamp": f"{created}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "process": record.process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        labels = self.labels(record)
        if labels is not None:
            entry["request_id"] = labels.request_id
            if labels.trace_id:
                entry["trace_id"] = labels.trace_id
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            entry.update(fields)
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            entry["stack"] = record.stack_info
        return json.dumps(entry, default=repr)


class RootAccessFilter(logging.Filter):
    """Drops the access lines of health probes."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is to be kept."""
        return "GET / HTTP/1.1" not in record.getMessage()


class InitLog(logging.Handler):
    """Keeps the last lines logged while the script loads, for the body of `/readyz`."""

    def __init__(self, lines: int = 200) -> None:
        super().__init__()
        self.setFormatter(FastLineFormatter())
        self._lines: deque[str] = deque(maxlen=lines)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self._lines.append(self.format(record))

    @property
    def lines(self) -> list[str]:
        """The lines so far, oldest first."""
        return list(self._lines)


class LineHandler(_StreamHandler):
    """Writes whole lines, each at once unless it was deferred.

    Request lines are deferred until the thread that works has nothing else to do: under load many
    of them leave with one system call. Any other record takes the deferred lines along, so that
    the order stays.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: deque[str] = deque()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, and those that were deferred before it."""
        try:
            self._lines.append(self.format(record))
            self.flush()
        except Exception:  # noqa: BLE001 - logging's own contract: a bad record must not raise
            self.handleError(record)

    def defer(self, line: str) -> None:
        """Write a line with the next flush, at the latest when a hundred have gathered."""
        self._lines.append(line)
        if len(self._lines) > MAX_DEFERRED:
            self.flush()

    def flush(self) -> None:
        """Write what has gathered."""
        lines: list[str] = []
        with suppress(IndexError):
            # One by one: another thread may add a line, or flush, at the same time.
            while True:
                lines.append(self._lines.popleft())
        # Whoever reads the log can go away (`azmlinfsrv | head`); that must not end the server.
        with suppress(OSError, ValueError):
            if lines:
                self._write("\n".join([*lines, ""]))

    def _write(self, text: str) -> None:
        try:
            self.stream.write(text)
        except UnicodeEncodeError:
            encoding = self.stream.encoding
            self.stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        self.stream.flush()


MAX_DEFERRED = 100


def default_logging(settings: Settings) -> Mapping[str, Any]:
    """The configuration used when the user brings no `logging.json`."""
    json_lines = settings.log_format == "json"
    formatter = JsonLogFormatter if json_lines else FastLineFormatter
    stdout = {
        "()": LineHandler,
        "stream": "ext://sys.stdout",
        "formatter": "line",
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "filters": {"health": {"()": RootAccessFilter}},
        "handlers": {
            "stdout": stdout,
            "stderr": {**stdout, "stream": "ext://sys.stderr"},
        },
        "loggers": {
            "azmlinfsrv": {"level": settings.log_level, "handlers": ["stdout"], "propagate": False},
            "gunicorn.access": {
                "level": "INFO",
                "handlers": ["stdout"],
                "filters": ["health"],
                "propagate": False,
            },
            "gunicorn.error": {"level": "INFO", "handlers": ["stderr"], "propagate": False},
        },
        # Scripts that call logging.info(...) must be heard without configuring anything.
        "root": {"level": settings.log_level, "handlers": ["stdout"]},
    }


def configure_logging(settings: Settings) -> None:
    """Install the packaged configuration."""
    logging.config.dictConfig(dict(default_logging(settings)))
    log.info("Loaded logging config from %s", "inference_server.log_config")


def load_user_logging(settings: Settings) -> None:
    """Install the user's `logging.json`, when there is one in the app root or beside the script.

    Raises:
        StartError: The file is not JSON, or `logging.config.dictConfig` refuses it.
    """
    folders = [Path(settings.app_root)]
    if settings.script_path:
        folders.append(settings.script_path.parent)
    for folder in folders:
        path = folder / "logging.json"
        if path.is_file():
            _configure_from(path)
            log.info("Loaded logging config from %s", path)
            return


def _configure_from(path: Path) -> None:
    try:
        logging.config.dictConfig(json.loads(path.read_bytes()))
    except Exception as error:  # noqa: BLE001 - dictConfig calls what the file names
        cause = f": {error.__cause__}" if error.__cause__ else ""
        message = f"Invalid config file!: {path}: {error}{cause}"
        failure = StartError(message)
        failure.hint = "logging.json takes what Python's logging.config.dictConfig takes"
        raise failure from None


_original_print = builtins.print


def print_unhooked(line: str) -> None:
    """Print a bare line, whether or not the hook is installed."""
    _original_print(line, flush=True)


def hook_print() -> None:
    """Turn what scripts print to stdout into log records, one record a call."""
    _original_print("Initializing logger", flush=True)

    def print_to_log(*values: object, sep: str | None = " ", file: Any = None, **more: Any) -> None:
        if file is None or file is sys.stdout:
            print_log.info("%s", (" " if sep is None else sep).join(map(str, values)))
        else:
            _original_print(*values, sep=sep, file=file, **more)

    builtins.print = print_to_log
