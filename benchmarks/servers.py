"""The servers under test: their command lines, and the virtual environments they come from."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import InstallError
from benchmarks.load import HOST

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
VENVS = FOLDER / ".venvs"
SCRIPT = FOLDER / "no_op.py"
INSTALL_TIMEOUT_S = 900

_VERSIONS = (
    "import importlib.metadata as m, json, platform, sys;"
    "print(json.dumps({'python': platform.python_version(),"
    " **{name: m.version(name) for name in sys.argv[1:]}}))"
)


@dataclass(frozen=True)
class Server:
    """A server under test.

    Attributes:
        name: Key in the JSON results.
        title: Head of its column.
        venv: Name of its virtual environment; servers may share one.
        arguments: Command line for a port, with the program's name first.
        packages: Distributions whose versions are part of the result.
        is_toolkit: Whether it is a command for users, with `--help`, and not bare gunicorn.
    """

    name: str
    title: str
    venv: str
    arguments: Callable[[int], Sequence[str]]
    packages: tuple[str, ...]
    is_toolkit: bool = True


def _azmlinfsrv(port: int) -> list[str]:
    return ["azmlinfsrv", "--entry_script", str(SCRIPT), "--port", str(port)]


def _gunicorn(port: int) -> list[str]:
    return [
        "gunicorn", "--bind", f"{HOST}:{port}", "--worker-class", "gthread", "--threads", "16",
        "--chdir", str(FOLDER), "floor:application",
    ]  # fmt: skip


OURS = Server("ours", "azml", "ours", _azmlinfsrv, ("azml", "flask", "gunicorn"))
REFERENCE = Server(
    "reference",
    "azureml-inference-server-http",
    "reference",
    _azmlinfsrv,
    ("azureml-inference-server-http", "flask", "gunicorn"),
)
FLOOR = Server("floor", "raw gunicorn", "ours", _gunicorn, ("gunicorn",), is_toolkit=False)
SERVERS = (OURS, REFERENCE, FLOOR)

_WHAT_TO_INSTALL = {
    "ours": [str(ROOT)],
    "reference": ["--requirement", str(FOLDER / "requirements-reference.txt")],
}


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


def install(venv: str) -> Path:
    """Install what a virtual environment is for; ours anew each time, from the working tree.

    Raises:
        InstallError: pip failed.
    """
    folder = VENVS / venv
    VENVS.mkdir(exist_ok=True)
    (VENVS / ".gitignore").write_text("*\n")
    if not (folder / "bin" / "python").exists():
        _run_to_install(venv, [sys.executable, "-m", "venv", str(folder)])
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--no-input", "--quiet"]
    _run_to_install(venv, [*pip, *_WHAT_TO_INSTALL[venv]])
    return folder


def _run_to_install(venv: str, command: list[str]) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=INSTALL_TIMEOUT_S
    )
    if done.returncode:
        tail = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise InstallError(f"`{venv}` could not be installed:\n{tail}")
