"""The virtual environments that servers run from, made on first use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import InstallError
from benchmarks.servers.base import PEERS, Server

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
VENVS = FOLDER / ".venvs"
MODEL = VENVS / "model.joblib"
OURS = "azml"
INSTALL_TIMEOUT_S = 900

_VERSIONS = (
    "import importlib.metadata as m, json, platform, sys;"
    "print(json.dumps({'python': platform.python_version(),"
    " **{name: m.version(name) for name in sys.argv[1:]}}))"
)


@dataclass(frozen=True)
class Installed:
    """A server that can be started."""

    server: Server
    bin: Path

    def command(self, *arguments: str) -> list[str]:
        """A command line with a program of the environment."""
        return [str(self.bin / arguments[0]), *arguments[1:]]

    def versions(self) -> dict[str, str]:
        """Versions of Python and of the server's distributions.

        Raises:
            InstallError: One of them is missing.
        """
        command = self.command("python", "-c", _VERSIONS, *self.server.packages)
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        except subprocess.CalledProcessError as error:
            reason = error.stderr.strip().splitlines()[-1]
            raise InstallError(
                f"{self.bin.parent} does not hold {self.server.title}: {reason}"
            ) from error
        except OSError as error:
            raise InstallError(
                f"{self.bin.parent} is not a virtual environment: {error}"
            ) from error
        versions: dict[str, str] = json.loads(done.stdout)
        return versions


def requirements(name: str) -> Path:
    """The file that pins what an environment holds."""
    return PEERS / name / f"requirements-{name}.txt"


def install(name: str) -> Path:
    """Make an environment where there is none; ours gets the working tree each time.

    Raises:
        InstallError: pip failed.
    """
    folder = VENVS / name
    VENVS.mkdir(exist_ok=True)
    (VENVS / ".gitignore").write_text("*\n")
    python = folder / "bin" / "python"
    if not python.exists():
        _run(name, [sys.executable, "-m", "venv", str(folder)])
    pip = [str(python), "-m", "pip", "install", "--no-input", "--quiet"]
    _run(name, [*pip, "--requirement", str(requirements(name))])
    if name == OURS:
        _run(name, [*pip, "--force-reinstall", "--no-deps", str(ROOT)])
    return folder


def train(folder: Path) -> None:
    """Train the classifier that all servers load, with the libraries of an environment.

    Raises:
        InstallError: They are not there.
    """
    command = [str(folder / "bin" / "python"), str(FOLDER / "train_iris.py"), str(MODEL)]
    _run("the iris classifier", command)


def _run(what: str, command: list[str]) -> None:
    environ: Mapping[str, str] = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=INSTALL_TIMEOUT_S, env=environ
    )
    if done.returncode:
        tail = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise InstallError(f"`{what}` could not be made:\n{tail}")
