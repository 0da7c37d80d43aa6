"""A server with an instrumentation key exports its requests, prints, failures and model data."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import StartServer
from tests.ingestion import Ingestion

KEY = "0a1b2c3d-1111-2222-3333-444455556666"
OPTION = ("--appinsights_instrumentation_key", KEY)


def properties(envelope: dict[str, Any]) -> dict[str, str]:
    """What an envelope says in fields of its own."""
    return envelope["data"]["baseData"]["properties"]


def texts(ingestion: Ingestion) -> list[str]:
    """The exported log messages, in order."""
    return [e["data"]["baseData"]["message"] for e in ingestion.of_type("MessageData")]


def test_requests_prints_failures_and_model_data_are_exported(
    start_server: StartServer, ingestion: Ingestion
) -> None:
    environ = {
        "AML_APP_INSIGHTS_ENDPOINT": ingestion.url,
        "AML_MODEL_DC_STORAGE_ENABLED": "true",
    }
    server = start_server("fails_on_request.py", *OPTION, environ=environ)

    good = server.score("good")
    bad = server.score("bad")
    server.stop()

    requests = ingestion.of_type("RequestData")
    codes = {properties(e)["Request Id"]: e["data"]["baseData"]["responseCode"] for e in requests}
    assert codes == {good.headers["x-request-id"]: "200", bad.headers["x-request-id"]: "500"}
    assert {"loaded", "scoring good", "scoring bad", "model_data_collection"} <= set(
        texts(ingestion)
    )
    (failure,) = ingestion.of_type("ExceptionData")
    assert "KeyError" in failure["data"]["baseData"]["exceptions"][0]["message"]
    (model_data,) = [e for e in ingestion.of_type("MessageData") if "Input" in properties(e)]
    assert properties(model_data)["Prediction"] == '{"length": 4}'
    assert KEY not in server.log


def test_a_failing_start_is_exported_and_ends_without_delay(
    start_server: StartServer, ingestion: Ingestion
) -> None:
    environ = {"AML_APP_INSIGHTS_ENDPOINT": ingestion.url}

    server = start_server("init_raises.py", *OPTION, environ=environ, ready=False)

    assert server.wait_exit(timeout=10) == 3
    assert len(ingestion.of_type("ExceptionData")) == 1


def test_a_preloaded_script_exports_from_its_workers(
    start_server: StartServer, ingestion: Ingestion
) -> None:
    environ = {"AML_APP_INSIGHTS_ENDPOINT": ingestion.url, "WORKER_PRELOAD": "true"}
    server = start_server("fails_on_request.py", *OPTION, environ=environ)

    server.score("good")
    server.stop()

    assert len(ingestion.of_type("RequestData")) == 1


@pytest.mark.parametrize("switch", ["false", "True", "yes"])
def test_telemetry_needs_the_exact_word_true(
    start_server: StartServer, ingestion: Ingestion, switch: str
) -> None:
    environ = {
        "AML_APP_INSIGHTS_ENDPOINT": ingestion.url,
        "AML_APP_INSIGHTS_KEY": KEY,
        "AML_APP_INSIGHTS_ENABLED": switch,
    }
    server = start_server("fails_on_request.py", environ=environ)

    server.score("good")
    server.stop()

    assert ingestion.envelopes == []
