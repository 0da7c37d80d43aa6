"""The command line: what it accepts, what it writes into the environment, how it ends."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from inference_server import __version__, cli, ports
from inference_server.errors import PortError
from inference_server.gunicorn_engine import server
from inference_server.settings import TABLE, Setting, Settings, option_rows
from inference_server.settings_help import describe_option
from tests.inference_server.support import restored_logging

KEY = "0a1b2c3d-1111-2222-3333-444455556666"


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Run in a folder of its own; put environment and logging back."""
    monkeypatch.chdir(tmp_path)
    environ = dict(os.environ)
    with restored_logging():
        yield
    os.environ.clear()
    os.environ.update(environ)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings that the engine was started with; it returns at once."""
    started: list[Settings] = []
    monkeypatch.setattr(server, "serve", started.append)
    monkeypatch.setattr(ports, "check_addresses", lambda settings: None)
    return started


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    code = caught.value.code
    assert isinstance(code, int)
    return code


def parse(*arguments: str) -> dict[str, Any]:
    """The options that were given, by name."""
    options = cli._parser().parse_args(cli._with_underscores(arguments))
    return {name: value for name, value in vars(options).items() if value is not None}


def write(path: Path, values: object) -> Path:
    path.write_text(json.dumps(values))
    return path


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        pytest.param(["--entry_script", "s.py"], {"entry_script": "s.py"}, id="underscores"),
        pytest.param(["--entry-script", "s.py"], {"entry_script": "s.py"}, id="hyphens"),
        pytest.param(["--entry-script=a-b.py"], {"entry_script": "a-b.py"}, id="equals sign"),
        pytest.param(["--model_dir", "a-b"], {"model_dir": "a-b"}, id="hyphens in a value"),
        pytest.param(["--model_dir="], {"model_dir": ""}, id="empty value"),
        pytest.param(
            ["--entry", "s.py", "--po", "5810"], {"entry_script": "s.py", "port": "5810"},
            id="prefixes",
        ),
        pytest.param(["--e", "s.py"], {"entry_script": "s.py"}, id="the reference's shortest"),
        pytest.param(["--worker", "2"], {"worker_count": "2"}, id="prefix of two options of ours"),
        pytest.param(["--worker-c=2"], {"worker_count": "2"}, id="prefix with a hyphen"),
        pytest.param(["--worker_t", "2"], {"worker_timeout": "2"}, id="prefix of our own option"),
        pytest.param(["--m", "x"], {"model_dir": "x"}, id="prefix of one letter"),
        pytest.param(["--max_b", "1MiB"], {"max_body_size": "1MiB"}, id="size with a unit"),
        pytest.param(["--compat"], {"compat": True}, id="flag"),
        pytest.param(["--rest"], {"rest": True}, id="hidden flag"),
        pytest.param(["--reload"], {"reload": True}, id="flag that can be negated"),
        pytest.param(["--no-reload"], {"reload": False}, id="negated flag"),
        pytest.param(["--re"], {"rest": True}, id="short for the reference's flag"),
        pytest.param(["--host", "::1"], {"host": "::1"}, id="host is no prefix"),
        pytest.param([], {}, id="nothing"),
    ],
)  # fmt: skip
def test_options_are_read(arguments: Sequence[str], options: dict[str, Any]):
    assert parse(*arguments) == options


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            ["--port", "70000"],
            "argument --port: '70000': Input should be a whole number from 1 to 65535, not 70000",
            id="out of range",
        ),
        pytest.param(
            ["--port", ""],
            "argument --port: '': Input should be a valid integer, unable to parse string as an "
            "integer (expected 1 to 65535)",
            id="empty number",
        ),
        pytest.param(
            ["--worker_count=0"],
            "argument --worker_count: '0': Input should be a whole number from 1 or more, not 0",
            id="too low",
        ),
        pytest.param(
            ["--nan", "zero"],
            "argument --nan: 'zero': Input should be one of: null, literal",
            id="no choice",
        ),
        pytest.param(
            ["--access_control_allow_origins", "*.a"],
            "argument --access_control_allow_origins: '*.a': `*.a` is read as a regular "
            "expression, but is none: nothing to repeat at position 0 (`.*` stands for any "
            "characters)",
            id="no regular expression",
        ),
        pytest.param(["--model_dir"], "argument --model_dir: expected one argument", id="no value"),
        pytest.param(["--nothing"], "unrecognized arguments: --nothing", id="unknown"),
        pytest.param(["score.py"], "unrecognized arguments: score.py", id="positional"),
        pytest.param(
            ["--ma", "1"],
            "ambiguous option: --ma could match --max_concurrent_requests, --max_queue, "
            "--max_body_size",
            id="ambiguous",
        ),
        pytest.param(
            ["--h", "1"],
            "ambiguous option: --h could match --help, --host, --health_port, --header_timeout",
            id="ambiguous in the reference too",
        ),
    ],
)
def test_a_bad_option_ends_with_2_and_is_named(
    arguments: Sequence[str], message: str, capsys: pytest.CaptureFixture[str]
):
    assert run(*arguments) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1] == f"azmlinfsrv: error: {message}"


def help_text(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(*arguments) == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("argument", ["-h", "--help"])
def test_help_is_a_success(argument: str, capsys: pytest.CaptureFixture[str]):
    assert "usage: azmlinfsrv" in help_text(capsys, argument)


def test_help_lists_each_option_once_with_default_and_variable(
    capsys: pytest.CaptureFixture[str],
):
    options = help_text(capsys, "--help").partition("options:")[2]

    for row in option_rows():
        assert len(re.findall(rf"--{row.name}\b", options)) == 1 + (
            # Texts may refer to other options.
            sum(f"--{row.name}" in other.help for other in option_rows())
        )
        assert " ".join(describe_option(row).split()) in options
    assert "--rest" not in options


@pytest.mark.parametrize("row", option_rows(), ids=lambda row: row.name)
def test_the_help_of_an_option_names_its_default_and_variable(row: Setting):
    text = describe_option(row)

    assert text.startswith(row.help)
    assert (f"[{row.variable}]" in text) is row.reads_environment
    if row.default not in (None, False):
        assert f" Default: {row.default}." in text


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]):
    assert help_text(capsys, "--version") == f"azmlinfsrv {__version__}"


def test_without_anything_to_serve_the_command_ends_with_1(
    served: list[Settings], capsys: pytest.CaptureFixture[str]
):
    assert run("--port", "5005") == 1

    assert re.findall(r"E \[\d+\] azmlinfsrv - (.*)", capsys.readouterr().out) == [
        "Error!",
        "Please provide the scoring script with --entry_script, or a --config_file.",
    ]
    assert served == []


def test_the_options_of_the_process_are_the_default(
    served: list[Settings], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "argv", ["azmlinfsrv", "--version"])

    with pytest.raises(SystemExit) as caught:
        cli.main()

    assert caught.value.code == 0


def test_a_script_is_served_with_the_settings(served: list[Settings], tmp_path: Path):
    assert run("--entry_script", "score.py", "--port", "5005", "--max-queue", "7") == 0

    (settings,) = served
    assert (settings.entry_script, settings.port, settings.max_queue, settings.app_root) == (
        str(tmp_path / "score.py"),
        5005,
        7,
        str(tmp_path),
    )


def test_scripts_find_the_reference_variables_set(served: list[Settings], tmp_path: Path):
    run("--entry_script", "score.py")

    names = (
        "AML_APP_ROOT",
        "AML_APP_INSIGHTS_ENABLED",
        "AZUREML_ENTRY_SCRIPT",
        "HEALTH_PORT",
        "HTTP_X_MS_SERVER_VERSION",
        "SERVER_PORT",
        "TRANSPORT_PROTOCOL",
        "WORKER_COUNT",
        "AZUREML_MODEL_DIR",
        "AML_CORS_ORIGINS",
    )
    assert {name: os.environ.get(name) for name in names} == {
        "AML_APP_ROOT": str(tmp_path),
        "AML_APP_INSIGHTS_ENABLED": "false",
        "AZUREML_ENTRY_SCRIPT": str(tmp_path / "score.py"),
        "HEALTH_PORT": "5001",
        "HTTP_X_MS_SERVER_VERSION": f"azmlinfsrv/{__version__}",
        "SERVER_PORT": "5001",
        "TRANSPORT_PROTOCOL": "grpc",
        "WORKER_COUNT": "1",
        "AZUREML_MODEL_DIR": None,
        "AML_CORS_ORIGINS": None,
    }


def test_options_are_written_into_the_environment(served: list[Settings]):
    run(
        "--entry_script=s.py", "--model_dir=models", "--worker_count=3", "--rest", "--compat",
        "--access_control_allow_origins=*",
    )  # fmt: skip

    names = ("AZUREML_MODEL_DIR", "WORKER_COUNT", "TRANSPORT_PROTOCOL", "AZML_COMPAT",
             "AML_CORS_ORIGINS")  # fmt: skip
    assert [os.environ[name] for name in names] == ["models", "3", "rest", "true", "*"]


def test_an_option_wins_over_its_variable(served: list[Settings]):
    os.environ.update(WORKER_COUNT="2", SERVER_PORT="9", AZUREML_MODEL_DIR="variable")

    run("--entry_script", "s.py", "--worker_count", "3", "--model_dir", "option")

    (settings,) = served
    assert (settings.worker_count, settings.port, settings.model_dir) == (3, 5001, "option")


def test_the_variable_of_the_script_suffices(served: list[Settings], tmp_path: Path):
    os.environ["AZUREML_ENTRY_SCRIPT"] = "score.py"

    assert run() == 0
    assert served[0].script_path == tmp_path / "score.py"


def test_variables_set_to_nothing_count_as_unset(served: list[Settings], tmp_path: Path):
    for row in TABLE:
        os.environ[row.variable] = ""

    assert run("--entry_script", "score.py") == 0

    assert (os.environ["AML_APP_ROOT"], os.environ["HEALTH_PORT"], os.environ["WORKER_COUNT"]) == (
        str(tmp_path),
        "5001",
        "1",
    )
    assert served[0].app_root == str(tmp_path)


def test_an_app_root_that_is_set_is_kept(served: list[Settings]):
    os.environ["AML_APP_ROOT"] = "/elsewhere"

    run("--entry_script", "score.py")

    assert served[0].app_root == "/elsewhere"


@pytest.mark.parametrize(
    ("environ", "arguments", "port"),
    [
        pytest.param({}, [], "5001", id="default"),
        pytest.param({}, ["--port", "7"], "7", id="the port"),
        pytest.param({"HEALTH_PORT": "8"}, [], "8", id="variable"),
        pytest.param({"HEALTH_PORT": "8"}, ["--port", "7"], "7", id="port over variable"),
        pytest.param({}, ["--health_port", "9"], "5001", id="option without the switch"),
        pytest.param({"SEPERATE_HEALTH_ENDPOINT": "true"}, [], "5000", id="switch"),
        pytest.param(
            {"SEPERATE_HEALTH_ENDPOINT": "true"}, ["--port", "7"], "5000", id="switch and port"
        ),
        pytest.param(
            {"SEPERATE_HEALTH_ENDPOINT": "true"}, ["--health_port", "9"], "9",
            id="switch and option",
        ),
        pytest.param(
            {"SEPERATE_HEALTH_ENDPOINT": "true", "HEALTH_PORT": "8"}, [], "8",
            id="switch and variable",
        ),
        pytest.param(
            {"SEPERATE_HEALTH_ENDPOINT": "true", "HEALTH_PORT": "8"}, ["--health_port", "9"], "9",
            id="option over variable",
        ),
        pytest.param({"SEPERATE_HEALTH_ENDPOINT": "True"}, [], "5001", id="no switch"),
    ],
)  # fmt: skip
def test_the_health_port_follows_switch_option_variable_and_port(
    served: list[Settings], environ: dict[str, str], arguments: list[str], port: str
):
    os.environ.update(environ)

    run("--entry_script", "score.py", *arguments)

    assert os.environ["HEALTH_PORT"] == port
    assert served[0].health_port == int(port)


@pytest.mark.parametrize(
    ("switch", "before", "after"),
    [
        pytest.param(None, None, f"azmlinfsrv/{__version__}", id="default"),
        pytest.param("TRUE", "own", f"azmlinfsrv/{__version__}", id="on"),
        pytest.param("false", None, None, id="off"),
        pytest.param("false", "own", "own", id="off, and the user's own"),
    ],
)
def test_the_version_header_can_be_switched_off(
    served: list[Settings], switch: str | None, before: str | None, after: str | None
):
    for name, value in (
        ("SERVER_VERSION_LOG_RESPONSE_ENABLED", switch),
        ("HTTP_X_MS_SERVER_VERSION", before),
    ):
        if value is not None:
            os.environ[name] = value

    run("--entry_script", "score.py")

    assert os.environ.get("HTTP_X_MS_SERVER_VERSION") == after


@pytest.mark.parametrize(
    ("environ", "arguments", "enabled", "lines"),
    [
        pytest.param({}, [], "false", 0, id="nothing"),
        pytest.param({}, ["--appinsights_instrumentation_key", KEY], "true", 1, id="option"),
        pytest.param({}, ["--appinsights_instrumentation_key", "x"], "false", 2, id="wrong shape"),
        pytest.param(
            {"AML_APP_INSIGHTS_ENABLED": "true", "AML_APP_INSIGHTS_KEY": KEY}, [], "true", 1,
            id="variables",
        ),
        pytest.param({"AML_APP_INSIGHTS_KEY": KEY}, [], "false", 0, id="key alone"),
        *(
            pytest.param(
                {"AML_APP_INSIGHTS_ENABLED": word, "AML_APP_INSIGHTS_KEY": KEY}, [], "false", 0,
                id=f"the word {word}",
            )
            for word in ("True", "1", "yes", "asdf")
        ),
    ],
)  # fmt: skip
def test_telemetry_is_switched_on_by_the_exact_word_and_a_key(
    served: list[Settings],
    capsys: pytest.CaptureFixture[str],
    environ: dict[str, str],
    arguments: list[str],
    enabled: str,
    lines: int,
):
    os.environ.update(environ)

    assert run("--entry_script", "score.py", *arguments) == 0

    assert os.environ["AML_APP_INSIGHTS_ENABLED"] == enabled
    assert served[0].appinsights_enabled is (enabled == "true")
    out = capsys.readouterr().out
    assert out.partition("Server Settings")[0].count("Application Insights") == lines
    assert KEY not in out


# --- the config file -----------------------------------------------------------------------------


def test_values_of_the_config_file_are_in_force(served: list[Settings], tmp_path: Path):
    values = {
        "AZUREML_ENTRY_SCRIPT": "code/score.py",
        "AZUREML_MODEL_DIR": "models",
        "WORKER_COUNT": 4,
        "AML_APP_INSIGHTS_ENABLED": True,
        "AML_APP_INSIGHTS_KEY": KEY,
        "AML_CORS_ORIGINS": "http://a",
        "SEPERATE_HEALTH_ENDPOINT": True,
        "HEALTH_PORT": 5999,
    }
    path = write(tmp_path / "mine.json", values)

    assert run("--config_file", "mine.json") == 0

    (settings,) = served
    assert settings.script_path == tmp_path / "code" / "score.py"
    assert (settings.worker_count, settings.access_control_allow_origins) == (4, "http://a")
    assert (settings.appinsights_enabled, settings.health_port) == (True, 5999)
    names = ("AZUREML_MODEL_DIR", "WORKER_COUNT", "HEALTH_PORT", "AZUREML_CONFIG_FILE")
    assert [os.environ[name] for name in names] == ["models", "4", "5999", str(path)]


def test_the_environment_switches_off_telemetry_of_the_config_file(
    served: list[Settings], tmp_path: Path
):
    write(tmp_path / "config.json", {"AML_APP_INSIGHTS_ENABLED": True, "AML_APP_INSIGHTS_KEY": KEY})
    os.environ["AML_APP_INSIGHTS_ENABLED"] = "false"

    run("--entry_script", "score.py")

    assert served[0].appinsights_enabled is False


def test_a_config_file_may_move_the_app_root(served: list[Settings], tmp_path: Path):
    found = write(tmp_path / "config.json", {"AML_APP_ROOT": "/elsewhere", "SERVICE_NAME": "mine"})

    assert run("--entry_script", "score.py") == 0

    (settings,) = served
    assert (settings.app_root, settings.service_name) == ("/elsewhere", "mine")
    assert (os.environ["AML_APP_ROOT"], os.environ["AZUREML_CONFIG_FILE"]) == (
        "/elsewhere",
        str(found),
    )


def test_a_config_file_that_is_not_there_is_announced(
    served: list[Settings], capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    assert run("--config_file", "missing.json") == 0

    assert (
        f"W [{os.getpid()}] azmlinfsrv - There is no config file {tmp_path / 'missing.json'}"
        in (capsys.readouterr().out)
    )


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"SCORING_TIMEOUT_MS": "soon"}, id="bad value"),
        pytest.param({"AML_APP_ROOT": 5}, id="bad app root"),
        pytest.param([1], id="no object"),
    ],
)
def test_a_bad_config_file_ends_with_3(
    served: list[Settings], capsys: pytest.CaptureFixture[str], tmp_path: Path, values: object
):
    write(tmp_path / "mine.json", values)

    assert run("--entry_script", "score.py", "--config_file", "mine.json") == 3

    out = capsys.readouterr().out
    assert "===============Configuration Error=================\n" in out
    assert str(tmp_path / "mine.json") in out
    assert served == []


def test_a_bad_variable_ends_with_3_and_is_named(
    served: list[Settings], capsys: pytest.CaptureFixture[str]
):
    os.environ["AML_CORS_ORIGINS"] = "*.a.example"

    assert run("--entry_script", "score.py") == 3

    assert (
        "AML_CORS_ORIGINS: `*.a.example` is read as a regular expression, but is none: nothing to "
        "repeat at position 0 (`.*` stands for any characters) "
        "(environment variable: AML_CORS_ORIGINS)\n"
    ) in capsys.readouterr().out


# --- before serving ------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["--model_dir", "models"]])
def test_a_model_folder_that_is_not_set_is_announced(
    served: list[Settings], capsys: pytest.CaptureFixture[str], arguments: list[str]
):
    run("--entry_script", "score.py", *arguments)

    out = capsys.readouterr().out
    assert ("Use the --model_dir command line argument to set it.\n" in out) is (not arguments)
    assert "Azure ML Inferencing HTTP server" in out


def test_a_port_that_is_taken_ends_with_1(
    served: list[Settings], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def refuse(settings: Settings) -> None:
        raise PortError("it is in use", "choose another")

    monkeypatch.setattr(ports, "check_addresses", refuse)

    assert run("--entry_script", "score.py") == 1

    assert capsys.readouterr().out.endswith(
        f"E [{os.getpid()}] azmlinfsrv - it is in use\n  hint: choose another\n"
    )
    assert served == []


def test_on_windows_gunicorn_is_refused(
    served: list[Settings], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "platform", "win32")

    assert run("--entry_script", "score.py", "--engine", "gunicorn") == 3

    assert "AZML_ENGINE: gunicorn does not run on Windows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "variable", "in_force"),
    [
        pytest.param([], None, False, id="not in a terminal"),
        pytest.param(["--reload"], None, True, id="option"),
        pytest.param([], "true", True, id="variable"),
        pytest.param(["--no-reload"], "true", False, id="option over variable"),
    ],
)
def test_workers_read_from_the_environment_whether_to_reload(
    served: list[Settings],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    variable: str | None,
    in_force: bool,
):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    if variable is not None:
        os.environ["AZML_RELOAD"] = variable

    assert run("--entry_script", "s.py", *arguments) == 0

    assert served[0].reload is in_force
    assert os.environ["AZML_RELOAD"] == str(in_force).lower()


def test_reload_of_a_preloaded_script_is_a_setting_that_cannot_be(
    served: list[Settings], capsys: pytest.CaptureFixture[str]
):
    os.environ["WORKER_PRELOAD"] = "true"

    assert run("--entry_script", "s.py", "--reload") == 3

    assert "AZML_RELOAD: Reloading on save needs workers" in capsys.readouterr().out
    assert served == []
