"""The two lines logged for a request: ours, and an access line in the common log format."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any
from urllib.parse import quote

from inference_server.log_config import FastLineFormatter, LineHandler
from inference_server.refusal_lines import RefusalLines
from inference_server.request_context import RequestLabels

log = logging.getLogger("azmlinfsrv")
access_log = logging.getLogger("gunicorn.access")


CLOSE_S = 0.005
DELAY_S = 0.02
"""Lines are written so much later when the last were written less than `CLOSE_S` ago."""


class RequestLog:
    """Writes request lines; quickly where the packaged logging configuration is in force.

    Making log records costs more than a whole no-op request, so the lines go straight to the
    handler of the packaged text configuration. With any other one they are ordinary records.
    """

    def __init__(self) -> None:
        self._handler: LineHandler | None = None
        self._formatter: FastLineFormatter | None = None
        self._process = os.getpid()
        self._second = 0
        self._date = ""
        self._flushed_at = 0.0
        self._unwritten = threading.Event()
        self._writer: threading.Thread | None = None
        self.refusals = RefusalLines()

    def look_up_handlers(self) -> None:
        """Find out how the loggers are configured by now; call it after the last change."""
        handlers = {id(h): h for h in (*log.handlers, *access_log.handlers)}.values()
        only = next(iter(handlers), None)
        formatter = only.formatter if only is not None else None
        is_packaged = (
            len(handlers) == 1
            and type(only) is LineHandler
            and type(formatter) is FastLineFormatter
            and log.isEnabledFor(logging.INFO)
            and access_log.isEnabledFor(logging.INFO)
        )
        self._handler = only if is_packaged and isinstance(only, LineHandler) else None
        self._formatter = formatter if isinstance(formatter, FastLineFormatter) else None
        self._process = os.getpid()

    def add(
        self,
        environ: dict[str, Any],
        labels: RequestLabels | None,
        status: int,
        seconds: float,
        length: str,
        *,
        is_ours: bool,
    ) -> None:
        """Log an answered request.

        Args:
            environ: The WSGI environment.
            labels: What to say of the request.
            status: Status code of the answer.
            seconds: Time from the request to its answer.
            length: Bytes of the body, or N/A for a stream.
            is_ours: Whether our own line is due as well as the access line.
        """
        now = time.time()
        method, query = environ["REQUEST_METHOD"], environ.get("QUERY_STRING")
        path = environ["PATH_INFO"]
        if not path.isprintable():
            # Decoded by the engine: a line break in it would pass for a line of the log.
            path = quote(path, encoding="latin-1")
        target = f"{path}?{query}" if query else path
        ours = f"{method} {target} {status} {seconds * 1000:.3f}ms {length}" if is_ours else None
        is_probe = path == "/" and method == "GET"
        access = None if is_probe else self._access(environ, target, status, length, now)
        if self._handler is None or self._formatter is None:
            for logger, line in ((log, ours), (access_log, access)):
                if line is not None:
                    logger.info("%s", line, extra={"request": labels})
            return
        # The same two lines, without asking the formatter for each.
        start = f"{self._formatter.time(now)} I [{self._process}]"
        end = f" [{labels.request_id}]" if labels is not None else ""
        if ours is None:
            if access is not None:
                self._handler.defer(f"{start} gunicorn.access - {access}{end}")
        else:
            self._handler.defer(
                f"{start} azmlinfsrv - {ours}{end}\n{start} gunicorn.access - {access}{end}"
            )

    def flush_soon(self) -> None:
        """Write deferred lines: at once, or a moment later while bursts follow each other closely.

        Between two requests of a busy client, writing two lines costs as much as half a request.
        """
        now = time.monotonic()
        if self._handler is None or now - self._flushed_at >= CLOSE_S:
            self._flushed_at = now
            self.flush()
        elif not self._unwritten.is_set():
            self._unwritten.set()
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_later, name="log", daemon=True)
                self._writer.start()

    def _write_later(self) -> None:
        while True:
            self._unwritten.wait()
            time.sleep(DELAY_S)
            self._unwritten.clear()
            self.flush()

    def flush(self) -> None:
        """Write deferred lines."""
        summary = self.refusals.take_summary()
        if summary is not None:
            log.warning("%s", summary)
        if self._handler is not None:
            self._handler.flush()

    def _access(
        self, environ: dict[str, Any], target: str, status: int, length: str, now: float
    ) -> str:
        if int(now) != self._second:
            self._second = int(now)
            self._date = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now))
        get = environ.get
        return (
            f"{get('REMOTE_ADDR', '-')} - - [{self._date}] "
            f'"{environ["REQUEST_METHOD"]} {get("RAW_URI", target)} {get("SERVER_PROTOCOL", "")}" '
            f"{status} {'-' if length == 'N/A' else length} "
            f'"{get("HTTP_REFERER", "-")}" "{get("HTTP_USER_AGENT", "-")}"'
        )
