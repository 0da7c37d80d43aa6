"""`azmlinfsrv tune` on real servers: its figures, its advice, its errors, and nothing left."""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from tests.servers import SCORING_SCRIPTS, clean_environment, poll, server_command

PNG = b"\x89PNG\r\n\x1a\n"
MARK = "AZML_TEST_OF_TUNE"


def start(folder: Path, script: str, *options: str, body: str = "{}") -> subprocess.Popen[str]:
    """Start the command; every process it starts carries a mark in its environment."""
    (folder / "sample.json").write_text(body)
    return subprocess.Popen(
        [
            str(server_command()),
            "tune",
            "--request-file",
            "sample.json",
            "--entry_script",
            str(SCORING_SCRIPTS / script),
            *options,
        ],
        cwd=folder,
        env=clean_environment(folder, {MARK: str(folder)}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder: Path, script: str, *options: str, body: str = "{}") -> tuple[int, str, str]:
    """Run the command to its end: exit code, standard output, standard error."""
    with start(folder, script, *options, body=body) as process:
        out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def marked(folder: Path) -> list[int]:
    """The processes that the command started and that still run."""
    mark = f"{MARK}={folder}".encode()
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark in environ.read_bytes().split(b"\0"):
                found.append(int(environ.parent.name))
    return found


@pytest.mark.slow
def test_the_figures_and_the_advice_of_a_script_that_waits(tmp_path: Path) -> None:
    code, out, err = run(
        tmp_path,
        "takes_100_ms.py",
        "--budget",
        "8",
        "--worker_count",
        "1",
        "--json",
        "figures.json",
        body='"sleep"',
    )

    assert code == 0, err
    figures = json.loads((tmp_path / "figures.json").read_text())
    recommended = figures["recommendation"]
    assert out.splitlines()[0].split()[:3] == ["workers", "concurrent", "clients"]
    assert out.count("<- recommended") == 1
    assert {trial["failures"] for trial in figures["trials"]} == {0}
    assert {trial["workers"] for trial in figures["trials"]} == {1}
    # The script sleeps, so that several calls at once are several times as fast.
    assert recommended["places"] > 1
    assert recommended["memory_mib"] > 0
    assert (tmp_path / "azml-tune.png").read_bytes().startswith(PNG)
    advice = shlex.split(out.splitlines()[-1])
    assert advice[:2] == ["azmlinfsrv", "--entry_script"]
    assert advice[-1] == str(recommended["places"])
    assert marked(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_early_it_tells_what_it_has_and_leaves_nothing(
    tmp_path: Path, number: signal.Signals
) -> None:
    with start(tmp_path, "returns_input.py", "--format", "json") as process:
        # A server and a load client are there: the first trial is under way.
        poll(lambda: len(marked(tmp_path)) >= 4, timeout=30)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)

    assert process.returncode == 130, err
    assert json.loads(out)["complete"] is False
    assert "interrupted" in err
    assert "Traceback" not in err
    poll(lambda: marked(tmp_path) == [], timeout=10)


@pytest.mark.parametrize(
    ("script", "options", "body", "code", "message"),
    [
        pytest.param("returns_input.py", [], '{"a"}', 2, "sample.json:1:5: not JSON", id="body"),
        pytest.param("missing.py", [], "{}", 3, "cannot be read", id="no script"),
        pytest.param("init_raises.py", [], "{}", 3, "init_raises.py:6 in init", id="init fails"),
        pytest.param("run_raises.py", [], "{}", 1, "run_raises.py:13 in run", id="run fails"),
        pytest.param("returns_input.py", ["--nonsense"], "{}", 2, "--nonsense", id="bad option"),
    ],
)
def test_what_is_wrong_is_said_once(
    tmp_path: Path, script: str, options: list[str], body: str, code: int, message: str
) -> None:
    ended, out, err = run(tmp_path, script, *options, body=body)

    assert ended == code
    assert out == ""
    assert message in err
    assert err.startswith("azmlinfsrv tune: ")
    assert "Traceback" not in err
    assert marked(tmp_path) == []


def test_a_plot_needs_matplotlib_and_nothing_else_does(tmp_path: Path) -> None:
    blocked = tmp_path / "matplotlib"
    blocked.mkdir()
    (blocked / "__init__.py").write_text("raise ImportError")
    environ = clean_environment(tmp_path, {"PYTHONPATH": str(tmp_path)})
    (tmp_path / "sample.json").write_text("{}")

    done = subprocess.run(
        [
            str(server_command()),
            "tune",
            "--request_file",
            "sample.json",
            "--budget",
            "1",
            "--entry_script",
            str(SCORING_SCRIPTS / "returns_input.py"),
        ],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "pip install 'azml[tune]'" in done.stderr
    assert "<- recommended" in done.stdout
