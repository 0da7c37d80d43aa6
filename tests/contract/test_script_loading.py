"""How the scoring script is found and loaded, and what it may import and read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.contract.support import LOG_PREFIX
from tests.servers import SCORING_SCRIPTS, server_python

FOUND = LOG_PREFIX + r" I \[\d+\] azmlinfsrv\.user_script - Found user script at "


def copy(script: str, target: Path) -> Path:
    """Put a copy of a scoring script where a test needs it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(SCORING_SCRIPTS / script, target)
    return target


def test_a_relative_path_counts_from_the_working_folder(
    start_server: StartServer, tmp_path: Path
) -> None:
    copy("returns_input.py", tmp_path / "code" / "score.py")

    server = start_server(Path("code/score.py"))

    assert server.score("x").json() == "x"
    assert server.log_lines(FOUND + r".*code/score\.py")


def test_without_a_script_main_is_imported_from_the_working_folder(
    start_server: StartServer, tmp_path: Path
) -> None:
    copy("returns_input.py", tmp_path / "main.py")
    (tmp_path / "settings.json").write_text('{"SERVICE_NAME": "main"}')

    server = start_server(None, "--config_file", "settings.json")

    assert server.score("x").json() == "x"
    assert server.get("/swagger.json").json()["info"]["title"] == "main"


def test_without_a_script_a_missing_main_ends_the_server(
    start_server: StartServer, tmp_path: Path
) -> None:
    (tmp_path / "settings.json").write_text('{"SERVICE_NAME": "main"}')

    server = start_server(None, "--config_file", "settings.json", ready=False)

    assert server.wait_exit() == 3
    assert "No score script found. Expected score script main.py." in server.log


def test_a_driver_module_runs_in_place_of_its_wrapper(start_server: StartServer) -> None:
    server = start_server("has_driver_module.py")

    assert server.score("x").json() == ["inner run", "outer", "x"]
    server.wait_for_log(
        LOG_PREFIX + r" I \[\d+\] azmlinfsrv\.user_script - Found driver script at "
        r".*has_driver_module\.py and the score script at .*driven\.py"
    )


def test_the_script_sees_what_the_server_decided(start_server: StartServer, tmp_path: Path) -> None:
    names = [
        "AML_APP_ROOT",
        "AZUREML_ENTRY_SCRIPT",
        "AZUREML_MODEL_DIR",
        "AML_APP_INSIGHTS_ENABLED",
        "HEALTH_PORT",
        "SERVER_PORT",
        "WORKER_COUNT",
        "AZUREML_CONFIG_FILE",
        "MY_OWN",
    ]
    copy("reports_environment.py", tmp_path / "score.py")

    server = start_server(
        Path("score.py"), "--model_dir", "models/../models", environ={"MY_OWN": "kept"}
    )
    report = server.score(json.dumps(names)).json()

    assert report["environ"] == {
        "AML_APP_ROOT": str(tmp_path),
        "AZUREML_ENTRY_SCRIPT": str(tmp_path / "score.py"),
        "AZUREML_MODEL_DIR": "models/../models",
        "AML_APP_INSIGHTS_ENABLED": "false",
        "HEALTH_PORT": str(server.port),
        "SERVER_PORT": str(server.port),
        "WORKER_COUNT": "1",
        "AZUREML_CONFIG_FILE": None,
        "MY_OWN": "kept",
    }
    assert (report["name"], report["file"]) == ("entry_module", str(tmp_path / "score.py"))
    assert report["cwd"] == str(tmp_path)
    assert str(tmp_path) in report["path"]


@pytest.mark.parametrize("variable", ["AML_APP_ROOT", "AZUREML_SOURCE_DIRECTORY", "PYTHONPATH"])
def test_a_module_in_a_named_folder_is_importable(
    start_server: StartServer, tmp_path: Path, variable: str
) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / "neighbour.py").write_text("ANSWER = 42\n")
    value = "library" if variable == "AZUREML_SOURCE_DIRECTORY" else str(library)

    server = start_server("imports_neighbour.py", environ={variable: value})

    assert server.score("x").json() == 42


def test_the_servers_interface_has_all_its_names(start_server: StartServer) -> None:
    server = start_server("imports_aliases.py")

    report = server.score("x").json()

    version = server.get("/").headers["x-ms-server-version"].removeprefix("azmlinfsrv/")
    assert report == {
        "version": version,
        "debugpy": True,
        "request": True,
        "rawhttp": True,
        "response": True,
        "logging": ["AMLLogFormatter", "RootAccessFilter"],
    }


def test_flasks_globals_work_in_run(start_server: StartServer) -> None:
    server = start_server("uses_flask_globals.py")

    report = server.score("x", {"x-request-id": "A", "User-Agent": "curl/8"}).json()

    assert report == {"path": "/score", "agent": "curl/8", "request_id": "A", "is_app": True}


@pytest.mark.parametrize(
    "module", ["azureml_inference_server_http", "azureml_inference_server_http.amlserver"]
)
def test_the_server_starts_as_a_module(start_server: StartServer, module: str) -> None:
    command = [str(server_python()), "-m", module]

    assert start_server("returns_input.py", command=command).score("x").json() == "x"


def test_another_gunicorn_can_run_the_application(
    start_server: StartServer, tmp_path: Path
) -> None:
    environ = {
        "AML_APP_ROOT": str(SCORING_SCRIPTS),
        "AZUREML_ENTRY_SCRIPT": "returns_input.py",
    }
    application = "azureml_inference_server_http.server.entry:app"
    # The shell turns `--port N`, which every server here is given, into gunicorn's option.
    shell = ["/bin/sh", "-c", f'exec "$0" -b "127.0.0.1:$2" {application}']
    command = [*shell, str(server_python().with_name("gunicorn"))]

    server = start_server(None, command=command, environ=environ)

    assert server.score("x").json() == "x"
