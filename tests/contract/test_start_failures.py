"""A server that cannot start says why and ends at once."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.contract.support import LOG_PREFIX, expected_of


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        ("raises_on_import.py", "not importable today"),
        ("exits_on_import.py", "SystemExit"),
        ("imports_missing_package.py", "a_package_that_is_not_installed"),
    ],
)
def test_a_script_that_cannot_be_loaded_ends_the_server(
    start_server: StartServer, script: str, cause: str
) -> None:
    server = start_server(script, ready=False)

    assert server.wait_exit() == 3
    assert cause in server.log
    assert server.log_lines(script.replace(".", r"\."))


def test_a_script_with_a_syntax_error_ends_the_server(
    start_server: StartServer, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text("def init():\n    pass\n\ndef run(data:\n    return 1\n")

    server = start_server(Path("broken.py"), ready=False)

    assert server.wait_exit() == 3
    assert "SyntaxError" in server.log
    assert server.log_lines(r"broken\.py")


def test_health_is_not_good_before_init_is_done(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server("slow_init.py", ready=False)
    server.wait_for_log("Invoking user's init function")

    try:
        status = server.request("GET", "/", timeout=0.5).status
    except TimeoutError:
        status = None
    (tmp_path / "release").touch()

    assert status in {None, 503}
    assert server.wait_until_ready().score("x").json() == "x"


def test_a_missing_script_ends_the_server(start_server: StartServer) -> None:
    server = start_server(Path("nowhere/score.py"), ready=False)

    assert server.wait_exit() == 3
    assert "No such file or directory" in server.log
    assert server.log_lines(r"nowhere/score\.py")


@pytest.mark.parametrize(
    ("script", "cause"),
    [("init_raises.py", "RuntimeError: the model is not there"), ("init_exits.py", "SystemExit")],
)
def test_a_failed_init_ends_the_server_and_lists_the_models(
    start_server: StartServer, tmp_path: Path, script: str, cause: str
) -> None:
    folder = tmp_path / "models"
    (folder / "diabetes" / "1").mkdir(parents=True)
    (folder / "diabetes" / "1" / "model.pkl").touch()
    (folder / "a.txt").touch()

    server = start_server(script, "--model_dir", str(folder), ready=False)

    assert server.wait_exit() == 3
    assert server.log_lines(LOG_PREFIX + r" E \[\d+\] azmlinfsrv - User's init function failed")
    assert cause in server.log
    assert server.log_lines(script.replace(".", r"\."))
    assert "Users's init has completed successfully" not in server.log
    tree = server.log.partition("Model Directory Contents:")[2].splitlines()[1:6]
    # Whether each line is a record of its own is left open.
    names = [re.sub(LOG_PREFIX + r".*? azmlinfsrv - ", "", line) for line in tree]
    assert sorted(names) == sorted(
        ["models/", "    a.txt", "    diabetes/", "        1/", "            model.pkl"]
    )
    assert names[0] == "models/"


def test_a_long_list_of_models_is_cut(start_server: StartServer, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    for number in range(250):
        (folder / f"part-{number:03}").touch()

    server = start_server("init_raises.py", "--model_dir", str(folder), ready=False)

    assert server.wait_exit() == 3
    assert "Output Truncated. First 200 lines shown." in server.log
    assert "part-100" in server.log
    assert "part-249" not in server.log


def test_a_failed_start_of_several_workers_ends_them_all(start_server: StartServer) -> None:
    server = start_server("init_raises.py", "--worker_count", "2", ready=False)

    # The reference's master sometimes trips over two failures at once and leaves with 1.
    assert server.wait_exit() in expected_of(reference={1, 3}, ours={3})


def test_an_occupied_port_ends_the_server(start_server: StartServer) -> None:
    first = start_server("returns_input.py")
    started = time.monotonic()

    second = start_server("returns_input.py", port=first.port, ready=False)

    assert second.wait_exit(timeout=15) == 1
    assert time.monotonic() - started < 15
    assert second.log_lines(rf"{first.port}\b")
    assert first.score("still here").json() == "still here"
