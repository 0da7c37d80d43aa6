"""Why a server could not start, in a few lines for the log."""

from __future__ import annotations

import os
from pathlib import Path

from inference_server.errors import (
    ScriptError,
    SettingProblem,
    SettingsError,
    StartError,
    UserCodeError,
)
from inference_server.failures import Failure, describe, display_path, model_tree
from inference_server.settings import Settings

_TITLE = "===============Configuration Error================="
_RULE = "=" * len(_TITLE)


def describe_start_failure(error: Exception, settings: Settings) -> tuple[Failure, list[str]]:
    """The failure behind an error at start, and the log records that tell of it."""
    if isinstance(error, UserCodeError) and error.__cause__ is not None:
        failure = describe(error.__cause__, hint=error.hint)
        records = [f"{error}: " + "\n".join(failure.log_lines())]
        if "init function" in str(error):
            records.append(_model_directory(settings))
        return failure, [record for record in records if record]
    if isinstance(error, ScriptError):
        failure = Failure("ScriptError", str(error), hint=error.hint)
        lines = [str(error)]
        if error.location:
            lines.append(f"  {_displayed(error.location)}")
        if error.hint:
            lines.append(f"  hint: {error.hint}")
        return failure, ["\n".join(lines)]
    if isinstance(error, StartError):
        hint = f"\n  hint: {error.hint}" if error.hint else ""
        return Failure(type(error).__name__, str(error), hint=error.hint), [f"{error}{hint}"]
    failure = describe(error)
    return failure, ["The server cannot start: " + "\n".join(failure.log_lines())]


def describe_settings_error(error: SettingsError) -> list[str]:
    """A log record for each bad setting, in the frame that the reference puts around them."""
    return [_framed(problem) for problem in error.problems]


def _framed(problem: SettingProblem) -> str:
    from_environment = problem.where.startswith("environment variable")
    message = problem.message if from_environment else f"{problem.message}, {problem.where}"
    line = f"{problem.variable}: {message} (environment variable: {problem.variable})"
    return f"\n{_TITLE}\n{line}\n{_RULE}"


def _displayed(location: str) -> str:
    path, _, line = location.rpartition(":")
    return f"{display_path(path)}:{line}"


def _model_directory(settings: Settings) -> str:
    folder = settings.model_dir or os.environ.get("AZUREML_MODEL_DIR")
    if not folder or not Path(folder).is_dir():
        return f"Model directory is not set or does not exist: {folder or ''}"
    return "\n".join(["Model Directory Contents:", *model_tree(folder)])
