"""Settings from a JSON file."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.servers import SCORING_SCRIPTS, ServerProcess

EQUALS = "=" * 51


def write(path: Path, settings: object) -> str:
    """Write a configuration file and return its path as an option takes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings))
    return str(path)


def timeout_of(server: ServerProcess) -> int:
    """Return the scoring timeout the log announces."""
    return int(server.wait_for_log(r"Scoring timeout is set to (\d+)")[1])


@pytest.mark.parametrize("value", [1234, "1234"])
def test_a_setting_is_read_from_the_named_file(
    start_server: StartServer, tmp_path: Path, value: object
) -> None:
    path = write(tmp_path / "mine.json", {"SCORING_TIMEOUT_MS": value, "unknown": [1]})

    assert timeout_of(start_server("returns_input.py", "--config_file", path)) == 1234


def test_a_variable_wins_over_the_file(start_server: StartServer, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.json", {"SCORING_TIMEOUT_MS": 1234, "SERVICE_NAME": "file"})

    server = start_server(
        "returns_input.py", "--config_file", path, environ={"SCORING_TIMEOUT_MS": "4321"}
    )

    assert timeout_of(server) == 4321
    assert server.get("/swagger.json").json()["info"]["title"] == "file"


def test_a_variable_names_the_file(start_server: StartServer, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.json", {"SCORING_TIMEOUT_MS": 1234})

    server = start_server("returns_input.py", environ={"AZUREML_CONFIG_FILE": path})

    assert timeout_of(server) == 1234


def test_the_file_is_found_in_the_app_root(start_server: StartServer, tmp_path: Path) -> None:
    write(tmp_path / "config.json", {"SCORING_TIMEOUT_MS": 1234})

    assert timeout_of(start_server("returns_input.py")) == 1234


def test_the_file_is_found_beside_the_script(start_server: StartServer, tmp_path: Path) -> None:
    write(tmp_path / "code" / "config.json", {"SCORING_TIMEOUT_MS": 1234})
    shutil.copy(SCORING_SCRIPTS / "returns_input.py", tmp_path / "code" / "score.py")

    assert timeout_of(start_server(Path("code/score.py"))) == 1234


def test_null_means_not_set(start_server: StartServer, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.json", {"SCORING_TIMEOUT_MS": None, "SERVICE_NAME": None})

    assert timeout_of(start_server("returns_input.py", "--config_file", path)) == 3600000


def test_the_script_may_come_from_the_file(start_server: StartServer, tmp_path: Path) -> None:
    path = write(tmp_path / "mine.json", {"AZUREML_ENTRY_SCRIPT": "code/score.py"})
    (tmp_path / "code").mkdir()
    shutil.copy(SCORING_SCRIPTS / "returns_input.py", tmp_path / "code" / "score.py")

    assert start_server(None, "--config_file", path).score("x").json() == "x"


def test_a_value_of_the_wrong_type_ends_the_server(
    start_server: StartServer, tmp_path: Path
) -> None:
    path = write(tmp_path / "mine.json", {"SCORING_TIMEOUT_MS": "soon", "SERVICE_NAME": 5})

    server = start_server("returns_input.py", "--config_file", path, ready=False)

    assert server.wait_exit() == 3
    assert_configuration_error(server.log, "SCORING_TIMEOUT_MS")
    assert_configuration_error(server.log, "SERVICE_NAME")


def test_a_bad_value_of_a_variable_ends_the_server(start_server: StartServer) -> None:
    server = start_server("returns_input.py", environ={"SCORING_TIMEOUT_MS": "soon"}, ready=False)

    assert server.wait_exit() == 3
    assert_configuration_error(server.log, "SCORING_TIMEOUT_MS")


@pytest.mark.parametrize("text", ["{", "[1, 2]"])
def test_a_file_that_is_no_json_object_ends_the_server(
    start_server: StartServer, tmp_path: Path, text: str
) -> None:
    (tmp_path / "mine.json").write_text(text)

    server = start_server("returns_input.py", "--config_file", "mine.json", ready=False)

    assert server.wait_exit() == 3
    assert "Invalid config file!" in server.log


def assert_configuration_error(log: str, name: str) -> None:
    """Require the framed block about one setting."""
    block = (
        r"^\S+ \S+ C \[\d+\] azmlinfsrv - \n"
        r"===============Configuration Error=================\n"
        rf"{name}: .+ \(environment variable: {name}\)\n"
        rf"{EQUALS}$"
    )
    assert re.search(block, log, re.MULTILINE), log
