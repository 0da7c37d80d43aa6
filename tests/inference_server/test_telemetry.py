"""Telemetry against an ingestion endpoint on loopback: what is posted, and what a failure costs."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from inference_server.request_context import RequestLabels, current_request
from inference_server.telemetry import (
    BATCH_INTERVAL_S,
    BATCH_SIZE,
    BINARY_RESPONSE,
    PROPERTY_LENGTH,
    RequestRecord,
    Telemetry,
    TelemetrySettings,
    TelemetryUnavailable,
    find_model_ids,
    instrumentation_key_is_valid,
    start_telemetry,
)
from tests.ingestion import Ingestion

KEY = "0A1B2C3D-1111-2222-3333-444455556666"
EXTRAS = (
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED",
    "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED",
)


@pytest.fixture(autouse=True)
def exporter_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith(("APPLICATIONINSIGHTS_", "OTEL_"))]:
        monkeypatch.delenv(name)
    # Set here so that they are gone after the test; that telemetry sets them is tested apart.
    for name in EXTRAS:
        monkeypatch.setenv(name, "true")


@pytest.fixture(autouse=True)
def loggers_export_info() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("azmlinfsrv.print", "azmlinfsrv.trace")]
    before = [(logger.level, list(logger.handlers)) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.INFO)
    yield
    for logger, (level, handlers) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        assert logger.handlers == handlers, "telemetry left a handler behind"


@pytest.fixture
def settings(ingestion: Ingestion) -> TelemetrySettings:
    return TelemetrySettings(
        instrumentation_key=KEY,
        ingestion_endpoint=ingestion.url,
        service_name="diabetes",
        workspace_name="my-workspace",
        container_id="container-7",
        log_responses=True,
        collect_model_data=True,
        model_dir="",
    )


@pytest.fixture
def telemetry(settings: TelemetrySettings) -> Iterator[Telemetry]:
    started = start_telemetry(settings)
    yield started
    started.shutdown(10)


REQUEST = RequestRecord(
    request_id="request-1",
    client_request_id="client-1",
    method="POST",
    path="/score",
    url="http://localhost:5001/score?verbose=1",
    started_at=1_790_000_000.25,
    duration_s=1.25,
    status=200,
    response_body=b'{"prediction": [1]}',
)


def properties(envelope: dict[str, Any]) -> dict[str, str]:
    kept: dict[str, str] = envelope["data"]["baseData"]["properties"]
    kept.pop("logger_name", None)  # newer exporters add it
    return kept


class Heard(logging.Handler):
    """Keeps what reaches it: unlike `caplog`, only what the product's own routing lets through."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def warnings(self) -> list[str]:
        return [r.getMessage() for r in self.records if r.levelno >= logging.WARNING]


@pytest.fixture
def log() -> Iterator[Heard]:
    """What telemetry logs, and what the exporter logs where everyone sees it."""
    heard = Heard()
    logger = logging.getLogger("azmlinfsrv.telemetry")
    before = logger.propagate, logger.level
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    for place in (logger, logging.getLogger()):
        place.addHandler(heard)
    yield heard
    for place in (logger, logging.getLogger()):
        place.removeHandler(heard)
    logger.propagate = before[0]
    logger.setLevel(before[1])


def test_importing_telemetry_imports_nothing_of_the_extra() -> None:
    code = (
        "import sys, inference_server.telemetry;"
        "print([m for m in sys.modules if m.split('.')[0] in ('azure', 'opentelemetry')])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_request_is_exported_with_its_real_start_and_duration(
    telemetry: Telemetry, ingestion: Ingestion
) -> None:
    telemetry.record_request(REQUEST)
    telemetry.shutdown(10)

    (envelope,) = ingestion.envelopes
    data = envelope["data"]["baseData"]
    columns = {k: data[k] for k in ("name", "duration", "success", "responseCode")}
    assert columns == {
        "name": "/score",
        "duration": "0.00:00:01.250",
        "success": True,
        "responseCode": "200",
    }
    assert properties(envelope) == {
        "Container Id": "container-7",
        "Request Id": "request-1",
        "Client Request Id": "client-1",
        "Response Value": '{"prediction": [1]}',
        "name": "/score",
        "url": "http://localhost:5001/score?verbose=1",
        "start_time": "2026-09-21T14:13:20.250000Z",
        "duration": "00:00:01.250",
        "resultCode": "200",
        "success": "True",
        "http_method": "POST",
        "Workspace Name": "my-workspace",
        "Service Name": "diabetes",
    }
    assert envelope["name"] == "Microsoft.ApplicationInsights.Request"
    assert envelope["time"].startswith("2026-09-21T14:13:20.25")
    assert envelope["iKey"] == KEY.lower()
    assert envelope["tags"]["ai.cloud.role"] == "diabetes"
    assert envelope["tags"]["ai.cloud.roleInstance"] == "container-7"


@pytest.mark.parametrize(
    ("status", "success"), [(200, True), (302, True), (400, False), (404, False), (500, False)]
)
def test_a_request_succeeded_when_its_status_is_below_400(
    telemetry: Telemetry, ingestion: Ingestion, status: int, success: bool
) -> None:
    telemetry.record_request(replace(REQUEST, status=status))
    telemetry.shutdown(10)

    (envelope,) = ingestion.of_type("RequestData")
    data = envelope["data"]["baseData"]
    assert (data["responseCode"], data["success"]) == (str(status), success)
    assert properties(envelope)["resultCode"] == str(status)
    assert properties(envelope)["success"] == str(success)


def test_durations_are_written_as_a_clock_with_days_in_front(
    telemetry: Telemetry, ingestion: Ingestion
) -> None:
    seconds = [0, 0.0004, 59.9996, 3_725.5, 86_400, 200_000.001]

    for duration_s in seconds:
        telemetry.record_request(replace(REQUEST, duration_s=duration_s))
    telemetry.shutdown(10)

    assert [properties(e)["duration"] for e in ingestion.of_type("RequestData")] == [
        "00:00:00.000",
        "00:00:00.000",
        "00:01:00.000",
        "01:02:05.500",
        "01.00:00:00.000",
        "02.07:33:20.001",
    ]


@pytest.mark.parametrize(
    ("body", "exported"),
    [
        pytest.param(b"", "", id="empty"),
        pytest.param("grün".encode(), "grün", id="text"),
        pytest.param(b"\xff\x00", BINARY_RESPONSE, id="binary"),
        pytest.param(b"\xe2\x82", BINARY_RESPONSE, id="ends inside a character"),
        pytest.param(b"x" * 9_000_000, "x" * PROPERTY_LENGTH, id="long"),
        pytest.param(
            b"x" + "\U0001f600".encode() * 20_000,
            "x" + "\U0001f600" * (PROPERTY_LENGTH - 1),
            id="long and cut inside a character",
        ),
    ],
)
def test_a_response_is_exported_as_text_up_to_the_length_that_is_kept(
    telemetry: Telemetry, ingestion: Ingestion, body: bytes, exported: str
) -> None:
    telemetry.record_request(replace(REQUEST, response_body=body))
    telemetry.shutdown(10)

    assert [properties(e)["Response Value"] for e in ingestion.envelopes] == [exported]


def test_a_stream_is_exported_without_a_response(
    telemetry: Telemetry, ingestion: Ingestion
) -> None:
    telemetry.record_request(replace(REQUEST, response_body=None))
    telemetry.shutdown(10)

    assert ["Response Value" in properties(e) for e in ingestion.envelopes] == [False]


def test_responses_stay_at_home_when_they_are_not_to_be_logged(
    settings: TelemetrySettings, ingestion: Ingestion
) -> None:
    telemetry = start_telemetry(replace(settings, log_responses=False))

    telemetry.record_request(REQUEST)
    telemetry.shutdown(10)

    assert ["Response Value" in properties(e) for e in ingestion.envelopes] == [False]


def test_a_full_batch_leaves_at_once(telemetry: Telemetry, ingestion: Ingestion) -> None:
    started = time.monotonic()
    for _ in range(BATCH_SIZE):
        telemetry.record_request(REQUEST)

    while len(ingestion.envelopes) < BATCH_SIZE and time.monotonic() - started < 30:
        time.sleep(0.02)

    assert len(ingestion.envelopes) == BATCH_SIZE
    assert time.monotonic() - started < BATCH_INTERVAL_S


def test_an_exception_is_exported_with_its_traceback_and_causes(
    telemetry: Telemetry, ingestion: Ingestion
) -> None:
    try:
        try:
            raise KeyError("feature")
        except KeyError as error:
            raise ValueError("cannot score") from error
    except ValueError as error:
        telemetry.record_exception(error, "request-1", "client-1")
    telemetry.shutdown(10)

    (envelope,) = ingestion.envelopes
    (details,) = envelope["data"]["baseData"]["exceptions"]
    assert envelope["data"]["baseType"] == "ExceptionData"
    assert (details["typeName"], details["message"]) == ("ValueError", "cannot score")
    assert "KeyError: 'feature'" in details["stack"]
    assert details["stack"].endswith("ValueError: cannot score\n")
    assert properties(envelope) == {
        "Container Id": "container-7",
        "Request Id": "request-1",
        "Client Request Id": "client-1",
    }


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("error", "message"),
    [
        pytest.param(UnprintableError(), "<exception str() failed>", id="unprintable"),
        pytest.param(SystemExit(0), "0", id="exit"),
        pytest.param(ValueError(), "ValueError", id="without a message"),
    ],
)
def test_any_exception_can_be_exported(
    telemetry: Telemetry, ingestion: Ingestion, error: BaseException, message: str
) -> None:
    telemetry.record_exception(error, "", "")
    telemetry.shutdown(10)

    (envelope,) = ingestion.envelopes
    assert envelope["data"]["baseData"]["exceptions"][0]["message"] == message


def test_prints_and_traces_are_exported_with_the_request_they_belong_to(
    telemetry: Telemetry, ingestion: Ingestion
) -> None:
    logging.getLogger("azmlinfsrv.print").info("loading %s", "model.pkl")
    token = current_request.set(RequestLabels("request-9"))
    logging.getLogger("azmlinfsrv.trace").warning("slow")
    current_request.reset(token)
    telemetry.shutdown(10)

    exported = [
        (e["data"]["baseData"]["message"], e["data"]["baseData"]["severityLevel"], properties(e))
        for e in ingestion.of_type("MessageData")
    ]
    assert [(message, str(level), names) for message, level, names in exported] == [
        ("loading model.pkl", "1", {"Container Id": "container-7"}),
        ("slow", "2", {"Container Id": "container-7", "Request Id": "request-9"}),
    ]


def test_a_logged_exception_is_exported_as_an_exception(
    telemetry: Telemetry, ingestion: Ingestion
) -> None:
    try:
        raise OSError("disk")
    except OSError:
        logging.getLogger("azmlinfsrv.trace").exception("cannot read")
    telemetry.shutdown(10)

    (envelope,) = ingestion.of_type("ExceptionData")
    (details,) = envelope["data"]["baseData"]["exceptions"]
    assert (details["typeName"], details["message"]) == ("OSError", "cannot read")


def test_other_loggers_and_lower_levels_are_not_exported(
    telemetry: Telemetry, ingestion: Ingestion
) -> None:
    logging.getLogger("azmlinfsrv.print").setLevel(logging.DEBUG)

    logging.getLogger("azmlinfsrv.print").debug("detail")
    logging.getLogger("azmlinfsrv").error("the server's own")
    logging.getLogger("my_script").error("the script's own")
    telemetry.shutdown(10)

    assert ingestion.envelopes == []


def test_model_data_is_exported_with_the_ids_of_the_models(
    settings: TelemetrySettings, ingestion: Ingestion, tmp_path: Any
) -> None:
    (tmp_path / "ridge" / "4").mkdir(parents=True)
    telemetry = start_telemetry(replace(settings, model_dir=str(tmp_path)))

    telemetry.record_model_data('{"data": [1]}', "[2.5]", "request-1", "client-1")
    telemetry.shutdown(10)

    (envelope,) = ingestion.of_type("MessageData")
    assert envelope["data"]["baseData"]["message"] == "model_data_collection"
    assert properties(envelope) == {
        "Container Id": "container-7",
        "Request Id": "request-1",
        "Client Request Id": "client-1",
        "Workspace Name": "my-workspace",
        "Service Name": "diabetes",
        "Models": '["ridge:4"]',
        "Input": '{"data": [1]}',
        "Prediction": "[2.5]",
    }


def test_model_data_stays_at_home_unless_it_is_collected(
    settings: TelemetrySettings, ingestion: Ingestion
) -> None:
    telemetry = start_telemetry(replace(settings, collect_model_data=False))

    telemetry.record_model_data("1", "2", "request-1", "client-1")
    telemetry.shutdown(10)

    assert ingestion.envelopes == []


def test_records_after_the_shutdown_are_dropped_in_silence(
    telemetry: Telemetry, ingestion: Ingestion, log: Heard
) -> None:
    telemetry.shutdown(10)

    telemetry.record_request(REQUEST)
    telemetry.record_exception(ValueError("late"), "", "")
    telemetry.record_model_data("1", "2", "", "")
    logging.getLogger("azmlinfsrv.print").info("late")
    telemetry.shutdown(10)

    assert (ingestion.envelopes, log.warnings) == ([], [])


def test_a_shutdown_ends_in_time_though_the_endpoint_does_not_answer(
    telemetry: Telemetry, ingestion: Ingestion, log: Heard
) -> None:
    ingestion.answer.clear()
    telemetry.record_exception(ValueError("init() failed"), "", "")

    started = time.monotonic()
    telemetry.shutdown(0.3)

    assert time.monotonic() - started < 3
    assert log.warnings == [
        "Application Insights: the last records could not be sent within 0.3 s "
        "(later failures are logged at DEBUG)"
    ]


def test_an_endpoint_that_refuses_costs_no_request_and_one_warning(
    settings: TelemetrySettings, log: Heard
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
    telemetry = start_telemetry(replace(settings, ingestion_endpoint=endpoint))

    started = time.monotonic()
    for _ in range(3 * BATCH_SIZE):
        telemetry.record_request(REQUEST)
        telemetry.record_exception(ValueError("no"), "", "")
    recorded_after = time.monotonic() - started
    telemetry.shutdown(0.2)

    assert recorded_after < 3
    assert len(log.warnings) == 1


def test_a_rejection_is_logged_once_with_its_cause_and_without_the_key(
    telemetry: Telemetry, ingestion: Ingestion, log: Heard
) -> None:
    ingestion.status = 206
    ingestion.errors = [{"index": 0, "statusCode": 400, "message": f"bad key {KEY.lower()}"}]
    telemetry.record_request(REQUEST)
    telemetry.record_exception(ValueError("no"), "", "")
    telemetry.shutdown(10)

    (warning,) = log.warnings
    assert "bad key <instrumentation key>" in warning
    assert not any(KEY.lower() in r.getMessage().lower() for r in log.records)


def test_a_throttled_batch_is_logged(
    telemetry: Telemetry, ingestion: Ingestion, log: Heard
) -> None:
    ingestion.status = 402
    telemetry.record_request(REQUEST)
    telemetry.shutdown(10)

    assert log.warnings == [
        "Application Insights: 1 records were not accepted and are dropped "
        "(later failures are logged at DEBUG)"
    ]


def test_a_record_that_cannot_be_built_is_dropped_and_logged_once(
    telemetry: Telemetry, ingestion: Ingestion, log: Heard
) -> None:
    telemetry.record_request(replace(REQUEST, duration_s=float("inf")))
    telemetry.record_request(replace(REQUEST, duration_s=float("nan")))
    telemetry.record_request(REQUEST)
    telemetry.shutdown(10)

    assert len(ingestion.envelopes) == 1
    assert log.warnings == [
        "Application Insights: a record was dropped: OverflowError: "
        "cannot convert float infinity to integer (later failures are logged at DEBUG)"
    ]


def test_what_the_exporter_logs_for_others_reaches_the_root_logger(
    telemetry: Telemetry, log: Heard
) -> None:
    logging.getLogger("azure.monitor.opentelemetry.exporter.of_the_script").warning("theirs")

    assert log.warnings == ["theirs"]


def test_a_missing_extra_is_told_with_the_command_that_installs_it(
    settings: TelemetrySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "azure.monitor.opentelemetry.exporter", None)

    with pytest.raises(TelemetryUnavailable) as caught:
        start_telemetry(settings)

    assert str(caught.value).splitlines()[1:] == ['hint: pip install "azml[appinsights]"']


def test_a_variable_that_stops_the_exporter_is_hinted_at(
    settings: TelemetrySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPLICATIONINSIGHTS_CONNECTION_STRING", "nonsense")

    with pytest.raises(TelemetryUnavailable, match="`APPLICATIONINSIGHTS_`"):
        start_telemetry(settings)


@pytest.mark.parametrize(
    "endpoint",
    ["localhost", "ftp://host", "https://", "http://h;LiveEndpoint=http://x", "http://[h"],
)
def test_an_endpoint_that_is_no_url_is_refused(settings: TelemetrySettings, endpoint: str) -> None:
    with pytest.raises(TelemetryUnavailable) as caught:
        start_telemetry(replace(settings, ingestion_endpoint=endpoint))

    assert str(caught.value) == (
        f"`AML_APP_INSIGHTS_ENDPOINT` is {endpoint!r}: expected `https://<host>`"
    )


def test_a_malformed_key_is_refused_and_no_key_is_ever_shown(settings: TelemetrySettings) -> None:
    with pytest.raises(TelemetryUnavailable) as caught:
        start_telemetry(replace(settings, instrumentation_key="s3cret"))

    assert "s3cret" not in str(caught.value)
    assert KEY not in repr(settings)


def test_only_the_endpoint_is_contacted_and_the_script_keeps_its_own_opentelemetry(
    ingestion: Ingestion,
) -> None:
    code = textwrap.dedent(
        """
        import os, sys
        peers = set()
        def note(event, args):
            if event == "socket.connect":
                peers.add(args[1])
            elif event == "socket.getaddrinfo":
                peers.add(args[0])
        sys.addaudithook(note)

        from inference_server.telemetry import *
        telemetry = start_telemetry(TelemetrySettings(
            sys.argv[1], sys.argv[2], "s", "w", "c", True, True, ""))
        telemetry.record_exception(ValueError("x"), "", "")
        telemetry.shutdown(20)

        from opentelemetry import trace, _logs
        owners = {type(trace.get_tracer_provider()).__module__,
                  type(_logs.get_logger_provider()).__module__}
        print({str(peer) for peer in peers})
        print(any(".sdk." in owner for owner in owners))
        print(all(os.environ[name] == "true" for name in sys.argv[3:]))
        """
    )
    environ = {k: v for k, v in os.environ.items() if not k.startswith("APPLICATIONINSIGHTS_")}

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, KEY, ingestion.url, *EXTRAS],
        capture_output=True,
        text=True,
        timeout=60,
        env=environ,
    )

    host, port = "127.0.0.1", ingestion.server_port
    peers, sdk_is_global, extras_are_off = done.stdout.splitlines()
    assert eval(peers) == {host, str((host, port))}
    assert (sdk_is_global, extras_are_off, done.stderr) == ("False", "True", "")
    assert [e["data"]["baseType"] for e in ingestion.envelopes] == ["ExceptionData"]


@pytest.mark.parametrize(
    ("key", "valid"),
    [
        ("0a1b2c3d-1111-2222-3333-444455556666", True),
        ("0A1B2C3D-1111-2222-3333-44445555ABCD", True),
        ("", False),
        ("0a1b2c3d111122223333444455556666", False),
        ("0a1b2c3d-1111-2222-3333-44445555666g", False),
        ("0a1b2c3d-1111-2222-3333-444455556666\n", False),
        (" 0a1b2c3d-1111-2222-3333-444455556666", False),
        ("{0a1b2c3d-1111-2222-3333-444455556666}", False),
    ],
)
def test_a_key_is_valid_when_it_is_shaped_like_a_uuid(key: str, valid: bool) -> None:
    assert instrumentation_key_is_valid(key) is valid


@pytest.mark.parametrize(
    ("folders", "model_dir", "ids"),
    [
        pytest.param(["ridge/4"], "", ("ridge:4",), id="folder of models"),
        pytest.param(["ridge/4"], "ridge/4", ("ridge:4",), id="one version"),
        pytest.param(["ridge/4"], "ridge/4/", ("ridge:4",), id="slash at the end"),
        pytest.param(
            ["b/10", "b/9", "a/1"], "", ("a:1", "b:9", "b:10"), id="several, in order of version"
        ),
        pytest.param(["weights/latest", "weights/v2"], "", (), id="ordinary folder"),
        pytest.param(["ridge/4"], "missing", (), id="missing folder"),
    ],
)
def test_model_ids_are_found_and_an_ordinary_folder_is_no_reason_to_complain(
    tmp_path: Any,
    caplog: Heard,
    folders: list[str],
    model_dir: str,
    ids: tuple[str, ...],
) -> None:
    for folder in folders:
        (tmp_path / "models" / folder).mkdir(parents=True)
    (tmp_path / "models" / "model.pkl").write_bytes(b"")

    assert find_model_ids(f"{tmp_path}/models/{model_dir}") == ids
    assert caplog.records == []


def test_no_model_folder_has_no_model_ids() -> None:
    assert find_model_ids("") == ()
