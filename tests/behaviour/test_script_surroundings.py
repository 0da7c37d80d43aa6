"""What a script may expect of the process around it: modules, folders, children."""

from __future__ import annotations

from pathlib import Path

from tests.behaviour.support import read_to_end, scoring_request
from tests.conftest import StartServer
from tests.contract.support import shared_server
from tests.responses import parse_response
from tests.servers import ServerProcess, poll

USES_UTILS = """
import config
import utils

def init():
    pass

def run(data):
    return [utils.NAME, config.NAME, utils.__file__]
"""

classes = shared_server("uses_own_classes.py")
flask_globals = shared_server("uses_flask_globals.py")


def test_classes_of_the_script_can_be_pickled_and_sent_to_processes(classes: ServerProcess) -> None:
    before = classes.worker_pids()

    for number in range(3):
        assert classes.score(str(number)).json() == {
            "pickled": True,
            "doubled": 2 * number,
            "elsewhere": True,
            "registered": True,
        }

    assert classes.worker_pids() == before, "the worker took its children's signals for its own"


def test_a_child_of_the_script_can_be_terminated(start_server: StartServer) -> None:
    server = start_server("forks_helper.py")
    pid = server.score("fork").json()

    assert server.score("terminate").json() == -15

    assert server.score("x").json() == pid
    assert server.returncode is None


def test_a_child_of_the_script_holds_no_connection_open(start_server: StartServer) -> None:
    server = start_server("forks_helper.py")

    with server.connect(timeout=5) as connection:
        connection.sendall(scoring_request("fork"))
        answer = parse_response(read_to_end(connection))

    assert answer.status == 200
    assert server.score("x").json() == answer.json()


def test_a_child_of_the_script_does_not_hold_the_port(start_server: StartServer) -> None:
    server = start_server("forks_helper.py")
    server.score("fork")

    server.process.kill()
    server.process.wait(5)

    poll(lambda: not listens(server), timeout=5)


def listens(server: ServerProcess) -> bool:
    """Tell whether the port still takes connections."""
    try:
        server.connect(timeout=1).close()
    except OSError:
        return False
    return True


def test_modules_beside_the_script_win(start_server: StartServer, tmp_path: Path) -> None:
    folder = tmp_path / "code"
    elsewhere = tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    for name in ("utils", "config"):
        (folder / f"{name}.py").write_text(f'NAME = "my {name}"\n')
    (folder / "score.py").write_text(USES_UTILS)

    server = start_server(folder / "score.py", cwd=elsewhere)

    assert server.score("x").json() == ["my utils", "my config", str(folder / "utils.py")]


def test_a_package_beside_the_script_is_found_by_a_relative_path(
    start_server: StartServer, tmp_path: Path
) -> None:
    package = tmp_path / "code" / "helpers"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from helpers.inner import NAME\n")
    (package / "inner.py").write_text('NAME = "inner"\n')
    (tmp_path / "code" / "score.py").write_text(
        "import helpers\n\ndef init():\n    pass\n\ndef run(data):\n    return helpers.NAME\n"
    )

    server = start_server(Path("code/score.py"))

    assert server.score("x").json() == "inner"


def test_flask_globals_are_those_of_the_request(flask_globals: ServerProcess) -> None:
    response = flask_globals.score("x", {"User-Agent": "mine", "x-request-id": "this-one"})

    assert response.json() == {
        "path": "/score",
        "agent": "mine",
        "request_id": "this-one",
        "is_app": True,
    }
