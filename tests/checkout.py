"""The checkout that the tests of the repository itself look at."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def repository_files() -> list[Path]:
    """Every file that is tracked, or would be by the next `git add`.

    Skips the test where there is no git checkout.
    """
    if not (ROOT / ".git").exists():
        pytest.skip("not on this machine: no git checkout, only a copy of its files")
    # The checkout may belong to someone else, as in a container run by root.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    command += ["--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = {ROOT / name for name in listed.split("\0") if name}
    return sorted(path for path in paths if path.is_file())
