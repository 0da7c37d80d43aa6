"""Options, the banner, and what the command does with mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.contract.support import expected_of, shared_server
from tests.servers import SCORING_SCRIPTS, ServerProcess, free_port, run_command

server = shared_server("returns_input.py", "--rest")

SCRIPT = str(SCORING_SCRIPTS / "returns_input.py")


def banner_of(log: str) -> dict[str, str]:
    """Return the settings the banner shows, by their label."""
    settings = log.partition("Server Settings\n")[2].partition("Server Routes")[0]
    pairs = (line.partition(": ") for line in settings.splitlines() if ": " in line)
    return {label: value for label, _, value in pairs}


def test_the_banner_shows_every_setting(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(
        "returns_input.py",
        "--model_dir",
        "models",
        "--worker_count",
        "2",
        "--access_control_allow_origins",
        "http://a.example",
    )
    version = server.get("/").headers["x-ms-server-version"]

    server.wait_for_log("^Server Routes")
    banner = banner_of(server.stdout)

    assert (
        banner
        | {
            "Entry Script Name": SCRIPT,
            "Model Directory": "models",
            "Config File": "None",
            "Worker Count": "2",
            "Server Port": str(server.port),
            "Health Port": str(server.port),
            "Application Insights Enabled": "false",
            "Application Insights Key": "None",
            "Inferencing HTTP server version": version,
            "CORS for the specified origins": "Enabling CORS for http://a.example",
            "Create dedicated endpoint for health": "None",
        }
        == banner
    )
    assert "Worker Timeout (seconds)" in banner
    assert server.log_lines(
        f"^Azure ML Inferencing HTTP server v{version.removeprefix('azmlinfsrv/')}$"
    )


def test_the_banner_shows_the_routes(server: ServerProcess) -> None:
    server.wait_for_log(rf"^Liveness Probe: GET   127\.0\.0\.1:{server.port}/")
    server.wait_for_log(rf"^Score:          POST  127\.0\.0\.1:{server.port}/score")


def test_a_missing_model_folder_is_announced(server: ServerProcess) -> None:
    server.wait_for_log(r"AZUREML_MODEL_DIR.* has not been set")
    server.wait_for_log(r"^Use the --model_dir command line argument to set it\.$")


def test_an_option_wins_over_its_variable(start_server: StartServer) -> None:
    environ = {
        "AZUREML_MODEL_DIR": "from-variable",
        "SERVER_PORT": str(free_port()),
        "AML_CORS_ORIGINS": "http://variable.example",
    }

    server = start_server(
        "returns_input.py",
        "--model_dir=from-option",
        "--access_control_allow_origins=http://option.example",
        environ=environ,
    )

    banner = banner_of(server.stdout)
    assert banner["Model Directory"] == "from-option"
    assert banner["Server Port"] == str(server.port)
    assert server.score("x", {"Origin": "http://option.example"}).headers[
        "Access-Control-Allow-Origin"
    ]


def test_a_variable_stands_in_for_an_option(start_server: StartServer) -> None:
    server = start_server(
        "returns_input.py", environ={"AZUREML_MODEL_DIR": "from-variable", "WORKER_COUNT": "2"}
    )

    banner = banner_of(server.stdout)
    assert banner["Model Directory"] == "from-variable"
    assert banner["Worker Count"] == "2"


def test_options_may_be_shortened(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(None, "--entry", SCRIPT, "--model", "models", ready=False)

    assert server.wait_until_ready().score("x").json() == "x"


def test_a_telemetry_key_is_never_shown(start_server: StartServer) -> None:
    server = start_server(
        "returns_input.py", "--appinsights_instrumentation_key", "a-secret-that-is-no-key"
    )

    assert server.score("x").status == 200
    assert "a-secret-that-is-no-key" not in server.log
    assert banner_of(server.stdout)["Application Insights Enabled"] == "false"


def test_the_option_of_old_scripts_is_accepted(server: ServerProcess) -> None:
    assert server.score("x").json() == "x"


def test_help_lists_the_options(tmp_path: Path) -> None:
    result = run_command("--help", cwd=tmp_path)

    assert result.returncode == expected_of(reference=1, ours=0)
    for option in (
        "--entry_script",
        "--model_dir",
        "--port",
        "--health_port",
        "--worker_count",
        "--appinsights_instrumentation_key",
        "--access_control_allow_origins",
        "--config_file",
    ):
        assert option in result.stdout


def test_without_script_and_configuration_nothing_starts(tmp_path: Path) -> None:
    result = run_command("--port", str(free_port()), cwd=tmp_path)

    assert result.returncode in {1, 2}
    assert "entry_script" in result.stdout + result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--port", "70000"), id="port too high"),
        pytest.param(("--port", "0"), id="port zero"),
        pytest.param(("--port", "http"), id="port no number"),
        pytest.param(("--worker_count", "0"), id="no workers"),
        pytest.param(("--health_port", "-1"), id="health port negative"),
        pytest.param(("--no_such_option",), id="unknown option"),
        pytest.param(("--model_dir",), id="value missing"),
    ],
)
def test_a_bad_argument_is_refused_by_name(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    result = run_command("--entry_script", SCRIPT, *arguments, cwd=tmp_path)

    assert result.returncode == expected_of(reference=1, ours=2)
    assert arguments[0] in result.stderr
    assert "Traceback" not in result.stderr
