"""What is printed before the server serves."""

from __future__ import annotations

import pytest

from inference_server import __version__
from inference_server.banner import check_instrumentation_key, render_banner
from inference_server.settings import Settings

KEY = "0A1b2c3d-1111-2222-3333-444455556666"
ENVIRON = {"HEALTH_PORT": "5001"}


def test_the_banner_shows_settings_and_routes():
    environ = {
        "AZUREML_ENTRY_SCRIPT": "/code/score.py",
        "AZUREML_MODEL_DIR": "/models",
        "AZUREML_CONFIG_FILE": "/config.json",
        "HEALTH_PORT": "5000",
        "HTTP_X_MS_SERVER_VERSION": "azmlinfsrv/1",
        "SEPERATE_HEALTH_ENDPOINT": "true",
    }
    settings = Settings(
        worker_count=2,
        port=5005,
        appinsights_enabled=True,
        appinsights_instrumentation_key=KEY,
        access_control_allow_origins="http://a",
    )

    assert render_banner(environ, settings).split("\n") == [
        "",
        f"Azure ML Inferencing HTTP server v{__version__}",
        "",
        "",
        "Server Settings",
        "---------------",
        "Entry Script Name: /code/score.py",
        "Model Directory: /models",
        "Config File: /config.json",
        "Worker Count: 2",
        "Worker Timeout (seconds): 300",
        "Server Port: 5005",
        "Health Port: 5000",
        "Application Insights Enabled: true",
        "Application Insights Key: AppInsights key provided",
        "Inferencing HTTP server version: azmlinfsrv/1",
        "CORS for the specified origins: Enabling CORS for http://a",
        "Create dedicated endpoint for health: true",
        "",
        "",
        "Server Routes",
        "---------------",
        "Liveness Probe: GET   127.0.0.1:5000/",
        "Score:          POST  127.0.0.1:5005/score",
        "",
        "Listening on 127.0.0.1 only: clients on this machine. Open up with --host 0.0.0.0; there "
        "is no authentication.",
        "",
    ]


def test_what_is_not_set_is_shown_as_none():
    shown = render_banner({}, Settings()).split("\n")

    assert [line.partition(":")[0] for line in shown if line.endswith(": None")] == [
        "Entry Script Name",
        "Model Directory",
        "Config File",
        "Health Port",
        "Application Insights Key",
        "Inferencing HTTP server version",
        "CORS for the specified origins",
        "Create dedicated endpoint for health",
    ]
    assert "Liveness Probe: GET   127.0.0.1:5001/" in shown


def test_settings_of_the_config_file_are_shown():
    shown = render_banner({}, Settings(entry_script="score.py", model_dir="models"))

    assert "Entry Script Name: score.py\nModel Directory: models\n" in shown


@pytest.mark.parametrize(
    ("host", "place", "note"),
    [
        pytest.param("0.0.0.0", "127.0.0.1", "clients on other machines can connect", id="all"),
        pytest.param("::", "127.0.0.1", "clients on other machines can connect", id="all of IPv6"),
        pytest.param("10.0.0.1", "10.0.0.1", "clients on other machines can connect", id="one"),
        pytest.param("::1", "[::1]", "Listening on ::1 only", id="loopback of IPv6"),
        pytest.param("[::1]", "[::1]", "Listening on [::1] only", id="loopback in brackets"),
        pytest.param("localhost", "localhost", "Listening on localhost only", id="localhost"),
    ],
)
def test_the_banner_says_who_can_connect(host: str, place: str, note: str):
    shown = render_banner(ENVIRON, Settings(host=host))

    assert f"POST  {place}:5001/score" in shown
    assert note in shown


def test_the_key_itself_is_never_shown():
    settings = Settings(appinsights_enabled=True, appinsights_instrumentation_key=KEY)

    assert KEY not in render_banner(ENVIRON, settings)


VALID = ["Valid Application Insights instrumentation key provided."]
INVALID = [
    "Invalid Application Insights instrumentation key provided.",
    "Application Insights has been disabled.",
]


@pytest.mark.parametrize(
    ("enabled", "key", "expected"),
    [
        pytest.param(True, KEY, (True, VALID), id="valid"),
        pytest.param(True, "no key", (False, INVALID), id="wrong shape"),
        pytest.param(True, f"{KEY}0", (False, INVALID), id="too long"),
        pytest.param(True, f"{KEY}\n", (False, INVALID), id="line break behind it"),
        pytest.param(True, None, (False, []), id="no key"),
        pytest.param(False, KEY, (False, []), id="switched off"),
    ],
)
def test_telemetry_needs_the_switch_and_a_key_of_the_right_shape(
    enabled: bool, key: str | None, expected: tuple[bool, list[str]]
):
    settings = Settings(appinsights_enabled=enabled, appinsights_instrumentation_key=key)

    assert check_instrumentation_key(settings) == expected
