"""Feeds Application Insights with the requests of one worker process."""

from __future__ import annotations

import time
from pathlib import Path

from inference_server.failures import Failure
from inference_server.performer import ScoringCall
from inference_server.replies import RUN_FAILED, Reply
from inference_server.settings import Settings
from inference_server.telemetry import (
    RequestRecord,
    Telemetry,
    TelemetrySettings,
    TelemetryUnavailable,
    start_telemetry,
)
from inference_server.transaction import PROBE_PATHS, Transaction

__all__ = ["RequestTelemetry", "TelemetryUnavailable"]


class ScriptFailure(Exception):  # noqa: N818 - the name shows in telemetry
    """Stands for an exception of the script, whose summary is the message."""


class RequestTelemetry:
    """Called with each answered request."""

    def __init__(self, telemetry: Telemetry, settings: Settings) -> None:
        self._telemetry = telemetry
        self._collects_model_data = settings.collect_model_data

    @classmethod
    def start(cls, settings: Settings) -> RequestTelemetry:
        """Open the export; call it after the fork.

        Raises:
            TelemetryUnavailable: The extra is not installed, or the key cannot be used.
        """
        return cls(
            start_telemetry(
                TelemetrySettings(
                    instrumentation_key=settings.appinsights_instrumentation_key or "",
                    ingestion_endpoint=settings.appinsights_endpoint,
                    service_name=settings.service_name,
                    workspace_name=settings.workspace_name,
                    container_id=settings.hostname,
                    log_responses=settings.appinsights_log_response,
                    collect_model_data=settings.collect_model_data,
                    model_dir=str(Path(settings.model_dir)) if settings.model_dir else "",
                )
            ),
            settings,
        )

    def __call__(self, transaction: Transaction, reply: Reply, seconds: float) -> None:
        """Record an answer; `/` and the probes are left out, as in the reference."""
        environ = transaction.environ
        path = environ["PATH_INFO"]
        ids = transaction.ids
        if path == "/" or path in PROBE_PATHS or ids is None:
            return
        client_id = ids.client or ""
        host = environ.get("HTTP_HOST", environ.get("SERVER_NAME", ""))
        query = f"?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") else ""
        self._telemetry.record_request(
            RequestRecord(
                request_id=ids.request_id,
                client_request_id=client_id,
                method=environ["REQUEST_METHOD"],
                path=path,
                url=f"{environ.get('wsgi.url_scheme', 'http')}://{host}{path}{query}",
                started_at=time.time() - seconds,
                duration_s=seconds,
                status=reply.code,
                response_body=None if reply.stream is not None else reply.body,
            )
        )
        if reply.failure is not None:
            error = ScriptFailure(reply.failure.summary)
            self._telemetry.record_exception(error, ids.request_id, client_id)
        elif (
            self._collects_model_data
            and isinstance(transaction.call, ScoringCall)
            and _is_prediction(reply)
        ):
            self._telemetry.record_model_data(
                transaction.call.request.body.decode(errors="replace"),
                reply.body.decode(errors="replace"),
                ids.request_id,
                client_id,
            )

    def record_start_failure(self, failure: Failure) -> None:
        """Record why the scoring script cannot be served."""
        self._telemetry.record_exception(ScriptFailure(failure.summary), "", "")

    def shutdown(self, timeout_s: float) -> None:
        """Send what is left, for at most so long."""
        self._telemetry.shutdown(timeout_s)


def _is_prediction(reply: Reply) -> bool:
    """Whether an answer is what `run()` returned, in one piece."""
    return reply.stream is None and dict(reply.headers).get(RUN_FAILED) == "False"
