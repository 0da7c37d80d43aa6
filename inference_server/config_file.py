"""Finds and reads the JSON config file whose keys are the names of environment variables."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inference_server.errors import SettingProblem, SettingsError
from inference_server.settings import BY_VARIABLE, DEFAULT_APP_ROOT, Settings, read_settings

log = logging.getLogger("azmlinfsrv")


@dataclass(frozen=True)
class ConfigFile:
    """The values of one config file; empty when there is none."""

    path: Path | None = None
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"in {self.path}" if self.path else "default"


def load_settings(environ: Mapping[str, str]) -> Settings:
    """The settings in force: environment over config file over defaults.

    Raises:
        SettingsError: A value cannot be used, or the file named by the user is not a JSON object.
    """
    found = find_config_file(environ)
    return read_settings(environ, found.values, found.name)


def find_config_file(environ: Mapping[str, str]) -> ConfigFile:
    """The first config file there is, in the order of the reference.

    A file that the user named must be a JSON object. A `config.json` that merely lies in
    `AML_APP_ROOT` or beside the script is read only if it holds a key of ours: model folders often
    bring a `config.json` of their own.

    Raises:
        SettingsError: The file is no JSON object.
    """
    named = environ.get("AZUREML_CONFIG_FILE")
    if named and _is_filled(Path(named)):
        return ConfigFile(Path(named), _read_object(Path(named)))
    app_root = Path(environ.get("AML_APP_ROOT") or DEFAULT_APP_ROOT)
    script = environ.get("AZUREML_ENTRY_SCRIPT")
    folders = [app_root, (app_root / script).parent] if script else [app_root]
    for folder in folders:
        path = folder / "config.json"
        if _is_filled(path) and _is_ours(path):
            return ConfigFile(path, _read_object(path))
    return ConfigFile()


def _is_ours(path: Path) -> bool:
    """Whether a file that nobody named holds, or was meant to hold, a key of ours."""
    try:
        found = _read_object(path).keys() & BY_VARIABLE.keys()
    except SettingsError:
        content = path.read_bytes() if os.access(path, os.R_OK) else b""
        found = {name for name in BY_VARIABLE if f'"{name}"'.encode() in content}
    if not found:
        log.debug("Not a config file of this server, left alone: %s", path)
    return bool(found)


def _is_filled(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size > 0
    except OSError:
        return False


def _read_object(path: Path) -> dict[str, Any]:
    try:
        # As bytes, so that a byte order mark, which editors on Windows write, is understood.
        values = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        message = f"Invalid config file!: {error}"
        raise SettingsError([SettingProblem("AZUREML_CONFIG_FILE", message, str(path))]) from None
    if not isinstance(values, dict):
        message = "Invalid config file!: expected a JSON object of variable names and values"
        raise SettingsError([SettingProblem("AZUREML_CONFIG_FILE", message, str(path))])
    return values
