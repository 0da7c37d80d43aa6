"""What the log says when the server cannot start."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference_server.errors import (
    ScriptError,
    SettingProblem,
    SettingsError,
    StartError,
    UserCodeError,
)
from inference_server.failures import Failure, Frame, display_path
from inference_server.settings import Settings
from inference_server.start_failures import describe_settings_error, describe_start_failure


def failing_init() -> None:
    raise RuntimeError("the model is not there")


def user_code_error(summary: str, hint: str | None = None) -> UserCodeError:
    error = UserCodeError(summary, hint=hint)
    try:
        failing_init()
    except RuntimeError as cause:
        error.__cause__ = cause
    return error


LINE = failing_init.__code__.co_firstlineno + 1
SOURCE = 'raise RuntimeError("the model is not there")'
HERE = display_path(__file__)


def test_user_code_that_raised_is_shown_with_its_place_and_the_model_folder(tmp_path: Path):
    (tmp_path / "model.pkl").touch()

    failure, records = describe_start_failure(
        user_code_error("User's init function failed", "do this"), Settings(model_dir=str(tmp_path))
    )

    assert failure.frames[-1] == Frame(HERE, LINE, "failing_init", SOURCE)
    first, second = records
    assert first.splitlines()[:3] == [
        "User's init function failed: RuntimeError: the model is not there",
        f"  {HERE}:{LINE} in failing_init",
        f"    {SOURCE}",
    ]
    assert first.splitlines()[-1] == "  hint: do this"
    assert second.splitlines() == [
        "Model Directory Contents:",
        f"{tmp_path.name}/",
        "    model.pkl",
    ]


@pytest.mark.parametrize(
    ("folder", "line"),
    [
        pytest.param(None, "Model directory is not set or does not exist: ", id="not set"),
        pytest.param(
            "/no/such/folder",
            "Model directory is not set or does not exist: /no/such/folder",
            id="missing",
        ),
    ],
)
def test_a_missing_model_folder_is_told_after_a_failed_init(folder: str | None, line: str):
    error = user_code_error("User's init function failed")

    assert describe_start_failure(error, Settings(model_dir=folder))[1][1] == line


def test_the_model_folder_of_the_environment_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path))
    error = user_code_error("User's init function failed")

    assert describe_start_failure(error, Settings())[1][1] == (
        f"Model Directory Contents:\n{tmp_path.name}/"
    )


def test_a_failed_import_says_nothing_of_the_model_folder():
    _, records = describe_start_failure(user_code_error("The scoring script"), Settings())

    assert len(records) == 1


def test_a_script_that_lacks_something_is_shown_with_place_and_hint():
    error = ScriptError("no run()", location=f"{__file__}:1", hint="define it")

    assert describe_start_failure(error, Settings()) == (
        Failure("ScriptError", "no run()", hint="define it"),
        [f"no run()\n  {HERE}:1\n  hint: define it"],
    )


def test_a_script_error_may_come_without_place_and_hint():
    assert describe_start_failure(ScriptError("missing"), Settings()) == (
        Failure("ScriptError", "missing"),
        ["missing"],
    )


@pytest.mark.parametrize(
    ("hint", "record"),
    [
        pytest.param(None, "cannot", id="without hint"),
        pytest.param("try", "cannot\n  hint: try", id="hint"),
    ],
)
def test_another_reason_not_to_start_is_shown(hint: str | None, record: str):
    error = StartError("cannot")
    error.hint = hint

    assert describe_start_failure(error, Settings()) == (
        Failure("StartError", "cannot", hint=hint),
        [record],
    )


def test_an_unforeseen_error_is_shown_too():
    failure, records = describe_start_failure(ValueError("odd"), Settings())

    assert failure == Failure("ValueError", "odd")
    assert records == ["The server cannot start: ValueError: odd"]


def test_each_bad_setting_gets_a_frame():
    error = SettingsError(
        [
            SettingProblem("PORT", "too low", "environment variable: PORT"),
            SettingProblem("NAME", "no text", "in config.json"),
        ]
    )

    assert describe_settings_error(error) == [
        "\n===============Configuration Error=================\n"
        "PORT: too low (environment variable: PORT)\n" + "=" * 51,
        "\n===============Configuration Error=================\n"
        "NAME: no text, in config.json (environment variable: NAME)\n" + "=" * 51,
    ]
