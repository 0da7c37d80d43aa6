"""`scripts/demo` works where nothing is installed, says what fails, and ends its processes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.checkout import ROOT, repository_files

SCORING_SCRIPT = Path("examples/diabetes_regression/score.py")

# What a machine needs to be itself: programs, a home, its language, a way to a package registry.
KEPT_VARIABLES = re.compile(
    r"PATH|HOME|TMPDIR|LANG|LC_.*|PIP_.*|SSL_CERT_.*|.*_CA_BUNDLE|(?i:.*_proxy)"
)


@dataclass(frozen=True)
class DemoRun:
    """What one run of the demo left; `processes_left`: did any process of its group outlive it."""

    exit_code: int
    stdout: str
    stderr: str
    processes_left: bool


def copy_of_the_repository(folder: Path) -> Path:
    """Copy what a clone would hold, uncommitted work included, and nothing that git ignores."""
    for path in repository_files():
        copied = folder / path.relative_to(ROOT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copied)
    return folder


def group_is_gone(group: int, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def run_demo(checkout: Path, python: str = sys.executable) -> DemoRun:
    environ = {name: value for name, value in os.environ.items() if KEPT_VARIABLES.fullmatch(name)}
    demo = subprocess.Popen(
        [checkout / "scripts" / "demo"],
        env={**environ, "PYTHON": python},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    processes_left = True
    try:
        stdout, stderr = demo.communicate(timeout=900)
        processes_left = not group_is_gone(demo.pid, within_s=5)
    finally:
        if processes_left:
            os.killpg(demo.pid, signal.SIGKILL)
    return DemoRun(demo.returncode, stdout, stderr, processes_left)


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DemoRun]:
    """A checkout on which the demo has run once; its path has a space, as users' paths do."""
    checkout = copy_of_the_repository(tmp_path_factory.mktemp("a machine"))
    return checkout, run_demo(checkout)


@pytest.fixture
def scoring_script(first_run: tuple[Path, DemoRun]) -> Iterator[Path]:
    """The scoring script of that checkout, for the test to edit."""
    script = first_run[0] / SCORING_SCRIPT
    original = script.read_text(encoding="utf-8")
    yield script
    script.write_text(original, encoding="utf-8")


@pytest.mark.slow
def test_the_demo_predicts_one_number_per_row_of_the_sample(first_run: tuple[Path, DemoRun]):
    _, run = first_run

    assert (run.exit_code, run.stderr, run.processes_left) == (0, "", False)
    label, _, prediction = run.stdout.splitlines()[0].partition(": ")
    assert label == "prediction"
    numbers = json.loads(prediction)
    assert len(numbers) == 2
    assert all(isinstance(number, float) and 25 <= number <= 350 for number in numbers)


@pytest.mark.slow
def test_the_demo_says_how_to_serve_the_example_oneself(first_run: tuple[Path, DemoRun]):
    _, run = first_run

    assert f"  .venv/bin/azmlinfsrv --entry_script {SCORING_SCRIPT}" in run.stdout


@pytest.mark.slow
def test_a_second_demo_uses_what_the_first_one_made(first_run: tuple[Path, DemoRun]):
    checkout, first = first_run
    made = [
        checkout / ".venv" / "pyvenv.cfg",
        checkout / SCORING_SCRIPT.parent / "model" / "model.joblib",
    ]
    times = [path.stat().st_mtime_ns for path in made]

    second = run_demo(checkout)

    assert second == first
    assert [path.stat().st_mtime_ns for path in made] == times


@pytest.mark.slow
def test_a_demo_whose_server_does_not_start_shows_the_log_and_fails(
    first_run: tuple[Path, DemoRun], scoring_script: Path
):
    scoring_script.write_text(
        "def init():\n    raise ValueError('not in init')\n\ndef run(raw_data): ...\n"
    )

    run = run_demo(first_run[0])

    assert (run.exit_code, run.stdout, run.processes_left) == (1, "", False)
    assert "error: the server ended before it was ready" in run.stderr
    assert "not in init" in run.stderr


@pytest.mark.slow
def test_a_demo_whose_scoring_request_fails_shows_the_log_and_fails(
    first_run: tuple[Path, DemoRun], scoring_script: Path
):
    scoring_script.write_text(
        "def init(): ...\n\ndef run(raw_data):\n    raise ValueError('not while scoring')\n"
    )

    run = run_demo(first_run[0])

    assert (run.exit_code, run.stdout, run.processes_left) == (1, "", False)
    assert "error: the server answered 500" in run.stderr
    assert "not while scoring" in run.stderr


@pytest.mark.parametrize("command", ["demo", "test"])
def test_a_python_too_old_is_refused_before_anything_is_made(tmp_path: Path, command: str):
    checkout = copy_of_the_repository(tmp_path / "checkout")
    old_python = tmp_path / "python3.9"
    old_python.write_text('#!/bin/sh\n[ "$1" != --version ] || exec echo "Python 3.9.18"\nexit 1\n')
    old_python.chmod(0o755)

    refused = subprocess.run(
        [checkout / "scripts" / command],
        env={**os.environ, "PYTHON": str(old_python)},
        check=False,
        capture_output=True,
        text=True,
    )

    assert (refused.returncode, refused.stdout) == (1, "")
    assert (
        f"error: Python 3.10 or newer is needed, `{old_python}` is Python 3.9.18\n"
        in refused.stderr
    )
    assert not (checkout / ".venv").exists()
