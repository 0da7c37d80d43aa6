"""Which config file counts, and what may stand in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inference_server.config_file import ConfigFile, find_config_file, load_settings
from inference_server.errors import SettingProblem, SettingsError

OURS = {"SERVICE_NAME": "mine"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    return tmp_path


def environ_of(root: Path, **more: str) -> dict[str, str]:
    return {"AML_APP_ROOT": str(root), "AZUREML_ENTRY_SCRIPT": "code/score.py", **more}


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_without_a_file_there_are_no_values(root: Path):
    found = find_config_file(environ_of(root))

    assert (found, found.name) == (ConfigFile(), "default")


def test_the_named_file_comes_first(root: Path):
    named = write(root / "named.json", OURS)
    write(root / "config.json", {"SERVICE_NAME": "other"})

    found = find_config_file(environ_of(root, AZUREML_CONFIG_FILE=str(named)))

    assert (found, found.name) == (ConfigFile(named, OURS), f"in {named}")


def test_the_app_root_comes_before_the_folder_of_the_script(root: Path):
    first = write(root / "config.json", OURS)
    write(root / "code" / "config.json", {"SERVICE_NAME": "other"})

    assert find_config_file(environ_of(root)) == ConfigFile(first, OURS)


@pytest.mark.parametrize(
    "named",
    [
        pytest.param("missing", id="missing"),
        pytest.param("empty", id="empty"),
        pytest.param("x" * 5000, id="a name that no file can have"),
    ],
)
def test_a_named_file_without_content_makes_way_for_the_others(root: Path, named: str):
    (root / "empty").touch()
    beside = write(root / "code" / "config.json", OURS)

    found = find_config_file(environ_of(root, AZUREML_CONFIG_FILE=str(root / named)))

    assert found == ConfigFile(beside, OURS)


def test_a_folder_of_that_name_is_no_file(root: Path):
    (root / "config.json").mkdir()

    assert find_config_file(environ_of(root)) == ConfigFile()


@pytest.mark.parametrize(
    "unrelated",
    [
        pytest.param({"model_type": "bert", "hidden_size": 768}, id="a model's"),
        pytest.param([1, 2], id="no object"),
        pytest.param("{broken", id="no JSON"),
        pytest.param('{"n": ' + "9" * 5000 + "}", id="a number of thousands of digits"),
        pytest.param("[" * 100_000, id="nested beyond reading"),
        pytest.param("\ufeff", id="only a byte order mark"),
    ],
)
def test_a_file_of_somebody_else_is_passed_over(root: Path, unrelated: object):
    write(root / "config.json", unrelated)
    beside = write(root / "code" / "config.json", OURS)

    assert find_config_file(environ_of(root)) == ConfigFile(beside, OURS)


def test_a_broken_file_that_was_meant_for_the_server_is_reported(root: Path):
    path = write(root / "config.json", '{"SERVICE_NAME": "mine",}')

    with pytest.raises(SettingsError) as caught:
        find_config_file(environ_of(root))

    (problem,) = caught.value.problems
    assert (problem.variable, problem.where) == ("AZUREML_CONFIG_FILE", str(path))
    assert problem.message.startswith("Invalid config file!: ")
    assert "line 1 column" in problem.message


def test_a_byte_order_mark_does_not_matter(root: Path):
    path = root / "config.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(OURS).encode())

    assert find_config_file(environ_of(root)) == ConfigFile(path, OURS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            "[1, 2]",
            "Invalid config file!: expected a JSON object of variable names and values",
            id="a list",
        ),
        pytest.param(
            "{",
            "Invalid config file!: Expecting property name enclosed in double quotes: "
            "line 1 column 2 (char 1)",
            id="half an object",
        ),
    ],
)
def test_a_named_file_must_be_a_json_object(root: Path, content: str, message: str):
    path = write(root / "named.json", content)

    with pytest.raises(SettingsError) as caught:
        load_settings(environ_of(root, AZUREML_CONFIG_FILE=str(path)))

    assert caught.value.problems == [SettingProblem("AZUREML_CONFIG_FILE", message, str(path))]


def test_a_named_file_must_be_text(root: Path):
    path = root / "named.json"
    path.write_bytes(b'{"a": "\xff"}')

    with pytest.raises(SettingsError, match="Invalid config file!"):
        load_settings(environ_of(root, AZUREML_CONFIG_FILE=str(path)))


def test_the_environment_wins_over_the_file(root: Path):
    write(root / "config.json", {"SERVICE_NAME": "file", "SERVICE_VERSION": "7"})

    settings = load_settings(environ_of(root, SERVICE_NAME="variable"))

    assert (settings.service_name, settings.service_version) == ("variable", "7")


@pytest.mark.parametrize(
    ("key", "value", "name"),
    [
        pytest.param("AML_APP_INSIGHTS_ENABLED", True, "appinsights_enabled", id="telemetry"),
        pytest.param(
            "AML_APP_INSIGHTS_KEY", "key", "appinsights_instrumentation_key", id="telemetry key"
        ),
        pytest.param("AML_MODEL_DC_STORAGE_ENABLED", True, "collect_model_data", id="model data"),
        pytest.param("AML_CORS_ORIGINS", "http://a", "access_control_allow_origins", id="origins"),
        pytest.param("AML_APP_ROOT", "/elsewhere", "app_root", id="app root"),
    ],
)
def test_the_keys_that_the_reference_forgets_are_read(
    root: Path, key: str, value: object, name: str
):
    path = write(root / "named.json", {key: value})

    assert getattr(load_settings({"AZUREML_CONFIG_FILE": str(path)}), name) == value


def test_a_bad_value_is_reported_with_its_file(root: Path):
    path = write(root / "config.json", {"SERVICE_NAME": 5})

    with pytest.raises(SettingsError) as caught:
        load_settings(environ_of(root))

    assert caught.value.problems == [
        SettingProblem("SERVICE_NAME", "Input should be a valid string", f"in {path}")
    ]
