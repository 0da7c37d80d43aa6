"""Export of requests, exceptions, logs and model data to Application Insights, when asked for.

The exporter is the optional extra `azml[appinsights]`; nothing of it is imported before
`start_telemetry` is called. Names and attributes are those Azure ML's inference server exports, so
saved queries and dashboards keep working; here the request's duration, result code and success also
stand in the request's own columns, not in its custom dimensions alone.
"""

from __future__ import annotations

import codecs
import json
import logging
import os
import re
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from inference_server.errors import ServerError
from inference_server.request_context import current_request

__all__ = [
    "RequestRecord",
    "Telemetry",
    "TelemetrySettings",
    "TelemetryUnavailable",
    "find_model_ids",
    "instrumentation_key_is_valid",
    "start_telemetry",
]

EXPORTED_LOGGERS = ("azmlinfsrv.print", "azmlinfsrv.trace")
BATCH_SIZE = 100
BATCH_INTERVAL_S = 5.0
QUEUE_SIZE = 2048
# Application Insights cuts a custom property and a message at these lengths.
PROPERTY_LENGTH = 8192
MESSAGE_LENGTH = 32768
BINARY_RESPONSE = json.dumps(
    "Scoring request response payload is a non serializable object or raw binary"
)

# What the exporter would otherwise send besides our own records: statistics about itself, feature
# flags fetched from Microsoft, and a metric that describes the process.
_EXPORTER_EXTRAS_OFF = (
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED",
    "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED",
)
_EXPORTER_LOGGER = "azure.monitor.opentelemetry.exporter"
_KEY = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# What building or queueing a record can raise: the SDK promises to raise nothing, a full process
# (no thread, no memory) and odd values still can.
_RECORDING_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)

_logger = logging.getLogger("azmlinfsrv.telemetry")

Attributes = Mapping[str, str | bool]


class TelemetryUnavailable(ServerError):  # noqa: N818
    """Telemetry was asked for and cannot start; the message says what to install or correct."""


@dataclass(frozen=True)
class TelemetrySettings:
    """What the exporter needs to know, already read from options, environment and file.

    Attributes:
        instrumentation_key: Kept out of `repr()` and of every message.
        ingestion_endpoint: `http(s)://host[:port]`; None means Azure's public endpoint.
        log_responses: Whether a request carries its response body.
        collect_model_data: Whether `Telemetry.record_model_data` exports anything.
        model_dir: Searched once, at the start, for the ids that model data is labelled with.
    """

    instrumentation_key: str = field(repr=False)
    ingestion_endpoint: str | None
    service_name: str
    workspace_name: str
    container_id: str
    log_responses: bool
    collect_model_data: bool
    model_dir: str


@dataclass(frozen=True)
class RequestRecord:
    """One answered request.

    Attributes:
        path: Without the query; the name the request is filed under.
        url: As the client sent it, with the query.
        started_at: Seconds since 1970.
        response_body: None for a stream, whose body is never held back to be exported.
    """

    request_id: str
    client_request_id: str
    method: str
    path: str
    url: str
    started_at: float
    duration_s: float
    status: int
    response_body: bytes | None


class Telemetry(Protocol):
    """Takes records from any thread, returns at once and never raises.

    Records wait in a bounded queue and leave in the background; what cannot be sent is dropped, and
    the first failure is logged at WARNING.
    """

    def record_request(self, request: RequestRecord) -> None:
        """Export one answered request; the caller leaves out health probes."""

    def record_exception(
        self, error: BaseException, request_id: str, client_request_id: str
    ) -> None:
        """Export an error with its traceback and causes; the ids are empty outside a request."""

    def record_model_data(
        self, input: str, prediction: str, request_id: str, client_request_id: str
    ) -> None:
        """Export what `run()` was given and returned, as JSON text; nothing unless collected."""

    def shutdown(self, timeout_s: float) -> None:
        """Send what is queued, for at most `timeout_s` seconds; later records are dropped."""


def instrumentation_key_is_valid(key: str) -> bool:
    """Whether a key has the shape 8-4-4-4-12 hexadecimal digits, in either case."""
    return _KEY.fullmatch(key) is not None


def find_model_ids(model_dir: str) -> tuple[str, ...]:
    """The `<name>:<version>` ids of the registered models in or at a model folder.

    Azure ML mounts a model at `<name>/<version>`, the version being an integer. The folder itself
    may be such a version, or hold any number of them; an ordinary folder yields no id.
    """
    if not model_dir:
        return ()
    root = Path(model_dir).absolute()
    if root.name.isdecimal():
        return (f"{root.parent.name}:{root.name}",)
    versions = [
        version
        for name in _folders_in(root)
        for version in _folders_in(name)
        if version.name.isdecimal()
    ]
    versions.sort(key=lambda version: (version.parent.name, int(version.name)))
    return tuple(f"{version.parent.name}:{version.name}" for version in versions)


def start_telemetry(settings: TelemetrySettings) -> Telemetry:
    """Open the exporters and send on what the loggers in `EXPORTED_LOGGERS` log from INFO up.

    Call it in each worker process, after the fork (threads do not survive one) and after logging
    is configured (which drops the handlers it finds). The caller calls `shutdown`, also when
    `init()` fails.

    Raises:
        TelemetryUnavailable: The extra is not installed, or the key or endpoint is malformed.
    """
    connection_string = _connection_string(settings)
    failures = _Failures(settings.instrumentation_key)
    _ExporterLog.attach()
    for name in _EXPORTER_EXTRAS_OFF:
        os.environ.setdefault(name, "true")
    try:
        pipeline = _open_pipeline(settings, connection_string, failures)
    except ImportError as error:
        raise TelemetryUnavailable(
            f"Application Insights is enabled and its exporter cannot be imported: {error}\n"
            'hint: pip install "azml[appinsights]"'
        ) from error
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise TelemetryUnavailable(
            f"The exporter for Application Insights does not start: {error}\n"
            "hint: check the variables that start with `APPLICATIONINSIGHTS_` and `OTEL_`"
        ) from error
    return _AppInsights(settings, pipeline, failures)


@dataclass(frozen=True)
class _Pipeline:
    """The exporter's two queues, behind plain values.

    Attributes:
        emit_log: Takes logger name, level of `logging`, body, nanoseconds since 1970, attributes.
        shutdowns: Each blocks until its queue is sent.
    """

    emit_span: Callable[[RequestRecord, Attributes], None]
    emit_log: Callable[[str, int, str, int, Attributes], None]
    shutdowns: tuple[Callable[[], None], ...]


def _open_pipeline(
    settings: TelemetrySettings, connection_string: str, failures: _Failures
) -> _Pipeline:
    # The providers stay our own: OpenTelemetry's global ones belong to the scoring script.
    from azure.core.pipeline.policies import SansIOHTTPPolicy
    from azure.monitor.opentelemetry.exporter import (
        AzureMonitorLogExporter,
        AzureMonitorTraceExporter,
    )
    from opentelemetry._logs import LogRecord, SeverityNumber
    from opentelemetry.context import Context
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExportResult
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON
    from opentelemetry.trace import SpanKind, StatusCode

    options: dict[str, Any] = {
        "connection_string": connection_string,
        "disable_offline_storage": True,
        # azure-core would log each upload at INFO.
        "http_logging_policy": SansIOHTTPPolicy(),
    }
    batches: dict[str, Any] = {
        "max_queue_size": QUEUE_SIZE,
        "max_export_batch_size": BATCH_SIZE,
        "schedule_delay_millis": BATCH_INTERVAL_S * 1000,
    }
    resource = Resource.create(
        {"service.name": settings.service_name, "service.instance.id": settings.container_id}
    )
    span_exporter: Any = _WatchedExporter(
        AzureMonitorTraceExporter(**options), SpanExportResult.SUCCESS, failures
    )
    spans = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
    spans.add_span_processor(BatchSpanProcessor(span_exporter, **batches))
    tracer = spans.get_tracer("azmlinfsrv")
    log_exporter: Any = _WatchedExporter(
        AzureMonitorLogExporter(**options), LogRecordExportResult.SUCCESS, failures
    )
    logs = LoggerProvider(resource=resource, shutdown_on_exit=False)
    logs.add_log_record_processor(BatchLogRecordProcessor(log_exporter, **batches))

    def emit_span(request: RequestRecord, attributes: Attributes) -> None:
        # No URL among the standard attributes: the exporter would rename the request after it.
        standard: dict[str, str | int] = {
            "http.request.method": request.method,
            "http.response.status_code": request.status,
        }
        start = int(request.started_at * 1e9)
        span = tracer.start_span(
            request.path, Context(), SpanKind.SERVER, {**attributes, **standard}, start_time=start
        )
        if not _succeeded(request.status):
            span.set_status(StatusCode.ERROR)
        span.end(start + int(request.duration_s * 1e9))

    def emit_log(name: str, level: int, body: str, at: int, attributes: Attributes) -> None:
        record = LogRecord(
            timestamp=at,
            severity_text=logging.getLevelName(level),
            severity_number=SeverityNumber(4 * min(max(level // 10, 1), 5) + 1),
            body=body,
            attributes=attributes,
        )
        logs.get_logger(name).emit(record)

    return _Pipeline(emit_span, emit_log, (spans.shutdown, logs.shutdown))


class _AppInsights:
    """The `Telemetry` that exports to Application Insights."""

    def __init__(
        self, settings: TelemetrySettings, pipeline: _Pipeline, failures: _Failures
    ) -> None:
        self._settings = settings
        self._pipeline = pipeline
        self._failures = failures
        model_dir = settings.model_dir if settings.collect_model_data else ""
        self._model_ids = find_model_ids(model_dir)
        self._closed = threading.Event()
        self._handler = _LogExport(settings.container_id, pipeline, failures)
        for name in EXPORTED_LOGGERS:
            logging.getLogger(name).addHandler(self._handler)

    def record_request(self, request: RequestRecord) -> None:
        if self._closed.is_set():
            return
        with self._failures.reported():
            self._pipeline.emit_span(request, _request_attributes(request, self._settings))

    def record_exception(
        self, error: BaseException, request_id: str, client_request_id: str
    ) -> None:
        if self._closed.is_set():
            return
        with self._failures.reported():
            attributes = self._ids(request_id, client_request_id) | _exception_attributes(error)
            # Without a body the exporter files the record under the exception's own message.
            self._pipeline.emit_log("azmlinfsrv", logging.ERROR, "", time.time_ns(), attributes)

    def record_model_data(
        self, input: str, prediction: str, request_id: str, client_request_id: str
    ) -> None:
        if self._closed.is_set() or not self._settings.collect_model_data:
            return
        with self._failures.reported():
            attributes = self._ids(request_id, client_request_id) | {
                "Workspace Name": self._settings.workspace_name,
                "Service Name": self._settings.service_name,
                "Models": json.dumps(self._model_ids),
                "Input": input[:PROPERTY_LENGTH],
                "Prediction": prediction[:PROPERTY_LENGTH],
            }
            self._pipeline.emit_log(
                "azmlinfsrv", logging.INFO, "model_data_collection", time.time_ns(), attributes
            )

    def shutdown(self, timeout_s: float) -> None:
        if self._closed.is_set():
            return
        self._closed.set()
        for name in EXPORTED_LOGGERS:
            logging.getLogger(name).removeHandler(self._handler)
        # The SDK waits up to 30 s for each queue, so it is left to threads that die with us.
        threads = [
            threading.Thread(target=shutdown, name="telemetry-shutdown", daemon=True)
            for shutdown in self._pipeline.shutdowns
        ]
        with self._failures.reported():
            for thread in threads:
                thread.start()
        deadline = time.monotonic() + timeout_s
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in threads):
            self._failures.report(f"the last records could not be sent within {timeout_s:g} s")

    def _ids(self, request_id: str, client_request_id: str) -> dict[str, str]:
        return {
            "Container Id": self._settings.container_id,
            "Request Id": request_id,
            "Client Request Id": client_request_id,
        }


class _LogExport(logging.Handler):
    """Queues the records of the server's own loggers for export."""

    def __init__(self, container_id: str, pipeline: _Pipeline, failures: _Failures) -> None:
        super().__init__(logging.INFO)
        self._container_id = container_id
        self._pipeline = pipeline
        self._failures = failures

    def emit(self, record: logging.LogRecord) -> None:
        with self._failures.reported():
            attributes = {"Container Id": self._container_id}
            labels = getattr(record, "request", None) or current_request.get()
            if labels is not None:
                attributes["Request Id"] = labels.request_id
            if record.exc_info and record.exc_info[1]:
                attributes.update(_exception_attributes(record.exc_info[1]))
            body = record.getMessage()[:MESSAGE_LENGTH]
            at = int(record.created * 1e9)
            self._pipeline.emit_log(record.name, record.levelno, body, at, attributes)


class _Failures:
    """Logs the first failure of telemetry at WARNING and the others at DEBUG, never the key."""

    def __init__(self, instrumentation_key: str) -> None:
        self._key = re.compile(re.escape(instrumentation_key), re.IGNORECASE)
        self._lock = threading.Lock()
        self._level = logging.WARNING

    def report(self, reason: str) -> None:
        with self._lock:
            level, self._level = self._level, logging.DEBUG
        reason = self._key.sub("<instrumentation key>", reason)[:200]
        _logger.log(level, "Application Insights: %s (later failures are logged at DEBUG)", reason)

    @contextmanager
    def reported(self) -> Iterator[None]:
        try:
            yield
        except _RECORDING_ERRORS as error:
            self.report(f"a record was dropped: {type(error).__name__}: {error}")


class _WatchedExporter:
    """Passes batches on to an exporter, and reports those it could not deliver.

    The exporter says nothing of its own about a batch that was throttled or met a failing service.
    """

    exporting = threading.local()

    def __init__(self, exporter: Any, delivered: object, failures: _Failures) -> None:
        self._exporter = exporter
        self._delivered = delivered
        self._failures = failures

    def export(self, batch: Any) -> Any:
        self.exporting.failures = self._failures
        try:
            result = self._exporter.export(batch)
        finally:
            self.exporting.failures = None
        if result is not self._delivered:
            self._failures.report(f"{len(batch)} records were not accepted and are dropped")
        return result

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return bool(self._exporter.force_flush(timeout_millis))

    def shutdown(self) -> None:
        self._exporter.shutdown()


class _ExporterLog(logging.Handler):
    """Takes over the exporter's log: it repeats itself, and quotes what it sent, key included.

    What it logs about exporters that are not ours (the scoring script's) goes where it would have.
    """

    @classmethod
    def attach(cls) -> None:
        logger = logging.getLogger(_EXPORTER_LOGGER)
        if not any(isinstance(handler, cls) for handler in logger.handlers):
            logger.addHandler(cls())
            logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        failures: _Failures | None = getattr(_WatchedExporter.exporting, "failures", None)
        if failures is None:
            logging.getLogger(_EXPORTER_LOGGER.rpartition(".")[0]).callHandlers(record)
        elif record.levelno >= logging.WARNING:
            with failures.reported():
                failures.report(record.getMessage())


def _connection_string(settings: TelemetrySettings) -> str:
    if not instrumentation_key_is_valid(settings.instrumentation_key):
        raise TelemetryUnavailable(
            "`AML_APP_INSIGHTS_KEY` is not an instrumentation key: "
            "expected 8-4-4-4-12 hexadecimal digits"
        )
    # The exporter knows keys in lower case only.
    parts = [f"InstrumentationKey={settings.instrumentation_key.lower()}"]
    if settings.ingestion_endpoint:
        parts.append(f"IngestionEndpoint={_checked_endpoint(settings.ingestion_endpoint)}")
    return ";".join(parts)


def _checked_endpoint(endpoint: str) -> str:
    try:
        parts = urlsplit(endpoint)
        well_formed = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        well_formed = False
    if not well_formed or not set(endpoint).isdisjoint(";= \t\r\n"):
        raise TelemetryUnavailable(
            f"`AML_APP_INSIGHTS_ENDPOINT` is {endpoint!r}: expected `https://<host>`"
        )
    return endpoint


def _request_attributes(
    request: RequestRecord, settings: TelemetrySettings
) -> dict[str, str | bool]:
    start_time = datetime.fromtimestamp(request.started_at, timezone.utc)
    attributes: dict[str, str | bool] = {
        "Container Id": settings.container_id,
        "Request Id": request.request_id,
        "Client Request Id": request.client_request_id,
        "name": request.path,
        "url": request.url,
        "start_time": start_time.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "duration": _format_duration(request.duration_s),
        "resultCode": str(request.status),
        "success": _succeeded(request.status),
        "http_method": request.method,
        "Workspace Name": settings.workspace_name,
        "Service Name": settings.service_name,
    }
    if settings.log_responses and request.response_body is not None:
        attributes["Response Value"] = _response_text(request.response_body)
    return attributes


def _exception_attributes(error: BaseException) -> dict[str, str]:
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ not in {"builtins", "__main__"}:
        name = f"{kind.__module__}.{name}"
    # `traceback` copes with an exception whose own `__str__` raises.
    summary = "".join(traceback.format_exception_only(error)).strip()
    return {
        "exception.type": name,
        "exception.message": summary.removeprefix(f"{name}: ")[:MESSAGE_LENGTH],
        "exception.stacktrace": "".join(traceback.format_exception(error))[-MESSAGE_LENGTH:],
    }


def _response_text(body: bytes) -> str:
    """The part of a body that Application Insights keeps, or a fixed text for a binary one."""
    head = body[: 4 * PROPERTY_LENGTH]
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        return decoder.decode(head, final=len(head) == len(body))[:PROPERTY_LENGTH]
    except UnicodeDecodeError:
        return BINARY_RESPONSE


def _format_duration(seconds: float) -> str:
    """Seconds as `hh:mm:ss.mmm`, after `dd.` from a day on."""
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    days, minutes = divmod(minutes, 24 * 60)
    clock = f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds / 1000:06.3f}"
    return f"{days:02}.{clock}" if days else clock


def _succeeded(status: int) -> bool:
    return status < HTTPStatus.BAD_REQUEST


def _folders_in(folder: Path) -> list[Path]:
    try:
        return [entry for entry in folder.iterdir() if entry.is_dir()]
    except OSError:
        return []
