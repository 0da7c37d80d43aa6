"""One real run, as short as it can be: our server, from the environment of the tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.publishing import LATEST
from tests.checkout import ROOT


@pytest.mark.slow
def test_a_short_run_measures_the_no_op_and_keeps_its_samples():
    before = LATEST.read_bytes() if LATEST.exists() else None
    command = [
        sys.executable, "-m", "benchmarks", "--only", "P0", "--servers", "azml",
        "--repeats", "1", "--seconds", "1", "--venv", f"azml={Path(sys.prefix)}",
    ]  # fmt: skip

    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False
        )
        document = json.loads(LATEST.read_text(encoding="utf-8"))
    finally:
        if before is not None:
            LATEST.write_bytes(before)

    assert done.returncode == 0, done.stderr
    assert "## P0: overhead" in done.stdout
    assert document["failures"] == []
    assert document["samples"]["P0-rate-32"]["azml"][0] > 0
    assert document["samples"]["P0-p99-1"]["azml"][0] > 0


def test_results_that_are_none_end_with_a_word(tmp_path: Path):
    command = [sys.executable, "-m", "benchmarks", "--from-results", str(tmp_path / "none.json")]

    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot read ")
    assert "Traceback" not in done.stderr
