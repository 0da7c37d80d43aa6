"""Reload on save: in place, in a new worker, or not at all, and never at a request's cost."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pty
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.behaviour.support import scoring_request, trickle, wait_for_line
from tests.conftest import StartServer
from tests.responses import parse_response, read_response
from tests.servers import HOST, ServerProcess, clean_environment, free_port, poll, server_command

SCRIPT = """
import os
import helper
from package.deep import module as deep

LIMIT = 1
inits = []

def init():
    with open("inits", "a") as file:
        file.write(f"{{os.getpid()}}\\n")
    inits.append(1)

def run(data):
    return ["{answer}", helper.value(), deep.value(), LIMIT, len(inits)]
"""
HELPER = "def value():\n    return {}\n"
WATCHED = "Reload on save: watching"
IN_PLACE = "Reloaded in place: {}; init\\(\\) was not called"
TAKEN_OVER = "the new workers have taken over"


class Project:
    """A scoring script with a helper module and a package, and ways of saving them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script = folder / "score.py"
        (folder / "package" / "deep").mkdir(parents=True)
        for package in ("package", "package/deep"):
            (folder / package / "__init__.py").touch()
        (folder / "helper.py").write_text(HELPER.format(1))
        (folder / "package" / "deep" / "module.py").write_text(HELPER.format(1))
        self.script.write_text(SCRIPT.format(answer="old"))

    def save(self, answer: str, *edits: tuple[str, str]) -> None:
        """Save the script with another answer, and other edits."""
        self.script.write_text(self.source(answer, *edits))

    @staticmethod
    def source(answer: str, *edits: tuple[str, str]) -> str:
        """The script's source with another answer, and other edits."""
        source = SCRIPT.format(answer=answer)
        for old, new in edits:
            assert old in source
            source = source.replace(old, new)
        return source


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project that may be edited."""
    return Project(tmp_path)


@pytest.fixture(params=["gunicorn", "granian"])
def server(
    request: pytest.FixtureRequest, start_server: StartServer, project: Project
) -> ServerProcess:
    """A server that follows the project, on each engine."""
    return serve(start_server, project, "--engine", request.param)


def serve(start_server: StartServer, project: Project, *options: str, **more) -> ServerProcess:
    server = start_server(project.script, "--reload", *options, **more)
    server.wait_for_log(WATCHED)
    return server


def answers(server: ServerProcess, *expected: object) -> None:
    """Wait for an answer."""
    poll(lambda: server.score("x").json() == list(expected), timeout=20, what=f"{expected}")


# In place


def test_a_changed_function_is_swapped_in_place(server: ServerProcess, project: Project) -> None:
    pids = server.worker_pids()

    project.save("new")

    answers(server, "new", 1, 1, 1, 1)
    server.wait_for_log(IN_PLACE.format(r"run\(\) in score\.py"))
    assert server.worker_pids() == pids
    assert len((project.folder / "inits").read_text().split()) == 1


def test_changed_helper_modules_are_swapped_in_place(
    server: ServerProcess, project: Project
) -> None:
    (project.folder / "helper.py").write_text(HELPER.format(2))
    answers(server, "old", 2, 1, 1, 1)

    (project.folder / "package" / "deep" / "module.py").write_text(HELPER.format(3))

    answers(server, "old", 2, 3, 1, 1)


def test_files_saved_together_change_together(server: ServerProcess, project: Project) -> None:
    with trickle(server) as seen:
        project.save("new", ("helper.value()", "helper.value(2)"))
        (project.folder / "helper.py").write_text("def value(x):\n    return x\n")
        answers(server, "new", 2, 1, 1, 1)

    assert seen.failures == []
    assert seen.statuses == {200}
    assert {tuple(answer.json()) for answer in seen.answers} <= {
        ("old", 1, 1, 1, 1),
        ("new", 2, 1, 1, 1),
    }


def in_place(path: Path, source: str) -> None:
    path.write_text(source)


def truncate_first(path: Path, source: str) -> None:
    with path.open("w") as file:
        file.flush()
        os.fsync(file.fileno())
        for line in source.splitlines(keepends=True):
            file.write(line)
            file.flush()


def rename_over(path: Path, source: str) -> None:
    temporary = path.with_name(".score.py.swp")
    temporary.write_text(source)
    temporary.replace(path)


def with_backup(path: Path, source: str) -> None:
    path.rename(path.with_name("score.py~"))
    path.write_text(source)


@pytest.mark.parametrize("write", [in_place, truncate_first, rename_over, with_backup])
@pytest.mark.parametrize("polling", ["true", "false"])
def test_every_way_of_saving_is_noticed(
    start_server: StartServer,
    project: Project,
    write: Callable[[Path, str], None],
    polling: str,
) -> None:
    server = serve(start_server, project, environ={"AZML_RELOAD_POLLING": polling})
    pids = server.worker_pids()

    for answer in ("first", "second", "third"):
        write(project.script, project.source(answer))
        answers(server, answer, 1, 1, 1, 1)

    assert server.worker_pids() == pids
    assert not server.log_lines("Not reloaded|Starting a new worker")
    assert server.log_lines(WATCHED + (".*looking" if polling == "true" else ".*events"))


def test_errors_point_to_the_new_lines(server: ServerProcess, project: Project) -> None:
    project.save(
        "new", ("def run(data):", "# moved\n# twice\ndef run(data):\n    raise KeyError(1)")
    )
    poll(lambda: server.score("x").status == 500, 10)
    error = server.score("x").json()["error"]

    expected = project.script.read_text().splitlines().index("    raise KeyError(1)") + 1
    assert (error["file"], error["line"]) == ("score.py", expected)
    assert error["source"] == "raise KeyError(1)"


def test_new_parameters_are_bound_and_described(server: ServerProcess, project: Project) -> None:
    project.save(
        "new",
        ("def run(data):", "def run(first: int, second: int = 2):"),
        ("len(inits)", "first + second"),
    )

    poll(lambda: server.score('{"first": 5}').json() == ["new", 1, 1, 1, 7], 10)
    assert server.score('{"first": "x"}').status == 422
    assert "second" in server.get("/swagger.json?version=3").text
    assert len((project.folder / "inits").read_text().split()) == 1


def test_an_asynchronous_script_is_swapped_in_place(
    start_server: StartServer, tmp_path: Path
) -> None:
    script = tmp_path / "score.py"
    source = (
        "import asyncio\nasync def init():\n    global lock\n    lock = asyncio.Lock()\n"
        "async def run(data):\n    async with lock:\n        return {}\n"
    )
    script.write_text(source.format(1))
    server = start_server(script, "--reload", "--max_concurrent_requests", "4")
    server.wait_for_log(WATCHED)

    with trickle(server) as seen:
        script.write_text(source.format(2))
        poll(lambda: server.score("x").json() == 2, 10)
        script.write_text(source.format(3))
        poll(lambda: server.score("x").json() == 3, 10)

    assert seen.failures == []
    poll(lambda: len(server.log_lines("Reloaded in place")) == 2, 10)


def test_a_call_that_goes_on_keeps_the_code_it_started_with(
    start_server: StartServer, tmp_path: Path
) -> None:
    script = tmp_path / "score.py"
    source = (
        "import os, time\ndef init(): pass\n"
        "def run(data):\n"
        "    open('calls', 'a').write(data + '\\n')\n"
        "    while data == 'wait' and not os.path.exists('release'):\n        time.sleep(0.01)\n"
        "    return later()\n"
        "def later({0}):\n    return {1}\n"
    )
    script.write_text(source.format("", "'old'"))
    server = start_server(script, "--reload", "--max_concurrent_requests", "2")
    server.wait_for_log(WATCHED)

    with server.connect() as connection:
        connection.sendall(scoring_request("wait"))
        wait_for_line(tmp_path / "calls", "wait")
        script.write_text(source.replace("later()\n", "later(1)\n").format("x", "'new'"))
        held = ThreadPoolExecutor(1)
        waiting = poll(lambda: sent_and_waiting(server, held), 10)
        (tmp_path / "release").touch()
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    assert parse_response(answer).json() == "old"
    assert waiting.result().json() == "new"


def sent_and_waiting(server: ServerProcess, pool: ThreadPoolExecutor) -> Future | None:
    """Send a request; None when it was answered before the swap began to wait."""
    sent = pool.submit(server.score, "x")
    waits = 0
    while waits < 5 and not sent.done():
        # On its way to run() it is in the queue too, but not for long.
        waits = waits + 1 if server.get("/readyz").json()["queue_length"] == 1 else 0
    return None if sent.done() else sent


def test_main_py_and_driver_modules_are_followed(start_server: StartServer, tmp_path: Path) -> None:
    driven = "def run(data):\n    return {}\n"
    (tmp_path / "driven.py").write_text(driven.format(1))
    (tmp_path / "main.py").write_text(
        "import driven as driver_module\ndef init(): pass\ndef run(data): pass\n"
    )
    (tmp_path / "config.json").write_text('{"AML_APP_ROOT": "."}')
    server = start_server(None, "--reload", "--config_file", "config.json")
    server.wait_for_log(WATCHED)

    (tmp_path / "driven.py").write_text(driven.format(2))

    poll(lambda: server.score("x").json() == 2, 10)
    server.wait_for_log(IN_PLACE.format(r"run\(\) in driven\.py"))


# In a new worker


@pytest.mark.parametrize(
    "edit",
    [("LIMIT = 1", "LIMIT = 2"), ("inits.append(1)", "inits.extend([1, 1])")],
    ids=["state", "init"],
)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_changed_state_starts_a_new_worker(
    start_server: StartServer, project: Project, edit: tuple[str, str], workers: str
) -> None:
    server = serve(start_server, project, "--worker_count", workers)
    poll(lambda: len(server.log_lines(WATCHED)) == int(workers), 10)
    pids = set(server.worker_pids())

    with trickle(server) as seen:
        project.save("new", edit)
        server.wait_for_log("Starting a new worker: .* changed")
        server.wait_for_log(TAKEN_OVER)
        poll(lambda: not pids & set(server.worker_pids()), timeout=10)

    assert seen.failures == []
    assert seen.statuses == {200}
    assert server.score("x").json()[0] == "new"
    assert len(server.worker_pids()) == int(workers)
    assert len(server.log_lines(TAKEN_OVER)) == 1


def test_clients_that_keep_their_connections_see_no_failure(
    start_server: StartServer, project: Project
) -> None:
    """On gunicorn; Granian closes idle connections as soon as a worker is to end."""
    server = serve(start_server, project)
    with kept_connections(server) as failures:
        for limit in range(2, 5):
            project.save("new", ("LIMIT = 1", f"LIMIT = {limit}"))
            answers(server, "new", 1, 1, limit, 1)
            poll(lambda: len(server.worker_pids()) == 1, 10)

    assert failures == []


@contextlib.contextmanager
def kept_connections(server: ServerProcess) -> Iterator[list[str]]:
    """Send 20 requests a second over two connections that are kept open."""
    failures: list[str] = []
    done = threading.Event()

    def send(connection: http.client.HTTPConnection) -> None:
        try:
            connection.request("POST", "/score", b"x")
            if read_response(connection.getresponse()).status != 200:
                failures.append("status")
        except (OSError, http.client.HTTPException) as error:
            failures.append(repr(error))
            connection.close()

    def send_all() -> None:
        connection = http.client.HTTPConnection(HOST, server.port, timeout=20)
        while not done.wait(0.1):
            send(connection)
        connection.close()

    threads = [threading.Thread(target=send_all) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield failures
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_libraries_are_imported_once(start_server: StartServer, tmp_path: Path) -> None:
    """A new worker finds what the first one imported, though it is a process of its own."""
    script = tmp_path / "score.py"
    source = (
        "import sys\nhad = 'colorsys' in sys.modules\nimport colorsys\nSTATE = {}\n"
        "def init(): pass\ndef run(data): return [STATE, had]\n"
    )
    script.write_text(source.format(1))
    server = start_server(script, "--reload")
    assert server.score("x").json() == [1, False]

    def inherited() -> bool:
        state = server.score("x").json()[0]
        script.write_text(source.format(state + 1))
        poll(lambda: server.score("x").json()[0] == state + 1, 20)
        return bool(server.score("x").json()[1])

    poll(inherited, 30)


def test_a_save_while_a_new_worker_loads_is_not_lost(
    server: ServerProcess, project: Project
) -> None:
    slow = ("def init():", "def init():\n    import time; time.sleep(60)")
    project.save("slow", slow)
    server.wait_for_log("Starting a new worker: init")

    project.save("new", ("LIMIT = 1", "LIMIT = 2"))

    answers(server, "new", 1, 1, 2, 1)
    poll(lambda: len(server.worker_pids()) == 1, 10)


def test_going_back_while_a_new_worker_loads_keeps_the_old_one(
    server: ServerProcess, project: Project
) -> None:
    pids = server.worker_pids()
    project.save("slow", ("def init():", "def init():\n    import time; time.sleep(60)"))
    poll(lambda: len(server.log_lines("Invoking user's init function")) == 2, 10)

    project.save("old")

    poll(lambda: server.worker_pids() == pids, 10)
    answers(server, "old", 1, 1, 1, 1)


# Not at all

BROKEN = {
    "syntax": ("def run(data):", "def run(data:", "SyntaxError"),
    "import": ("import os\n", "import os\nimport no_such_package\n", "ModuleNotFoundError"),
    "init": ("inits.append(1)", "raise ValueError('no model')", "ValueError"),
    "exit": ("inits.append(1)", "os._exit(9)", "WorkerEnded"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_script_that_does_not_load_leaves_the_old_one_serving(
    server: ServerProcess, project: Project, fault: str
) -> None:
    pids = server.worker_pids()
    old, new, kind = BROKEN[fault]

    with trickle(server) as seen:
        project.save("broken", (old, new))
        server.wait_for_log(f"Not reloaded: .*{kind}: .*; the old code keeps serving")
        ready = server.get("/readyz")

    assert ready.status == 200
    error = ready.json()["reload_error"]
    assert error["type"] == kind
    if fault != "exit":
        lines = project.script.read_text().splitlines()
        line = 1 + lines.index(next(text for text in lines if new.strip().split("\n")[-1] in text))
        assert (error["file"], error["line"]) == ("score.py", line)
        assert server.log_lines(rf"Not reloaded: score\.py:{line}: ")
    assert {answer.json()[0] for answer in seen.answers} == {"old"}
    assert seen.failures == []
    assert server.worker_pids() == pids

    project.script.touch()
    project.save("new")
    answers(server, "new", 1, 1, 1, 1)
    poll(lambda: "reload_error" not in server.get("/readyz").json(), 10)
    assert len(server.log_lines("Not reloaded")) == 1


def test_a_broken_module_that_was_not_loaded_before_recovers(
    server: ServerProcess, project: Project
) -> None:
    (project.folder / "more.py").write_text("raise RuntimeError('soon')\n")
    project.save("new", ("import helper", "import helper\nimport more"))
    server.wait_for_log("Not reloaded: more.py:1: RuntimeError: soon")

    (project.folder / "more.py").write_text("x = 1\n")

    answers(server, "new", 1, 1, 1, 1)


def test_going_back_to_what_runs_clears_the_error(server: ServerProcess, project: Project) -> None:
    project.save("broken", ("def run(data):", "def run(data:"))
    poll(lambda: "reload_error" in server.get("/readyz").json(), 10)

    project.save("old")

    poll(lambda: "reload_error" not in server.get("/readyz").json(), 10)
    answers(server, "old", 1, 1, 1, 1)


# Many saves


def test_fifty_saves_leak_neither_memory_nor_processes(
    start_server: StartServer, project: Project
) -> None:
    server = serve(start_server, project)
    for number in range(5):
        save_both_ways(server, project, number)
    poll(lambda: len(server.worker_pids()) == 1, 10)
    before = {kind: total(server, kind) for kind in ("memory", "descriptors", "threads")}

    for number in range(5, 30):
        save_both_ways(server, project, number)

    poll(lambda: len(server.worker_pids()) == 1, 10)
    after = {kind: total(server, kind) for kind in ("memory", "descriptors", "threads")}
    assert after["memory"] - before["memory"] < 8 << 20
    assert after["descriptors"] - before["descriptors"] <= 4
    assert after["threads"] - before["threads"] <= 2


def save_both_ways(server: ServerProcess, project: Project, number: int) -> None:
    """One save that is followed in place, and one by a new worker."""
    project.save(f"a{number}", ("LIMIT = 1", f"LIMIT = {number}"))
    answers(server, f"a{number}", 1, 1, number, 1)
    poll(lambda: len(server.worker_pids()) == 1, 10)
    project.save(f"b{number}", ("LIMIT = 1", f"LIMIT = {number}"))
    answers(server, f"b{number}", 1, 1, number, 1)


def total(server: ServerProcess, kind: str) -> int:
    """Bytes, open files or threads of the master and its worker together."""
    pids = [server.pid, *server.worker_pids()]
    if kind == "descriptors":
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)
    if kind == "threads":
        return sum(len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in pids)
    rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
    return sum(int(text.partition("\nPss:")[2].split()[0]) << 10 for text in rollups)


# When it is on


def test_it_is_off_where_nobody_sits_at_a_terminal(
    start_server: StartServer, project: Project
) -> None:
    server = start_server(project.script)

    project.save("new")
    server.score("x")

    assert not server.log_lines("Reload on save")
    assert server.score("x").json()[0] == "old"


@pytest.mark.parametrize(
    ("options", "is_on"),
    [((), True), (("--no-reload",), False), (("--host", "0.0.0.0"), False)],
    ids=["by-default", "no-reload", "open-to-others"],
)
def test_it_is_on_in_a_terminal(project: Project, options: tuple[str, ...], is_on: bool) -> None:
    controller, terminal = pty.openpty()
    port = free_port()
    log = project.folder / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [server_command(), "--entry_script", project.script, "--port", str(port), *options],
            cwd=project.folder,
            env=clean_environment(project.folder),
            stdin=terminal,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        poll(lambda: "ready for serving" in log.read_text(), 20)
        if is_on:
            poll(lambda: WATCHED in log.read_text(), 10)
        else:
            assert "Reload on save" not in log.read_text()
    finally:
        process.terminate()
        process.wait(20)
        os.close(controller)
        os.close(terminal)


def test_preloaded_workers_cannot_reload(start_server: StartServer, project: Project) -> None:
    server = start_server(
        project.script, "--reload", environ={"WORKER_PRELOAD": "true"}, ready=False
    )

    assert server.wait_exit() == 3
    assert "WORKER_PRELOAD" in server.log


def test_gunicorns_own_workers_say_that_they_cannot_reload(
    start_server: StartServer, project: Project
) -> None:
    server = start_server(
        project.script, "--reload", environ={"GUNICORN_CMD_ARGS": "--worker-class gthread"}
    )

    server.wait_for_log("Reload on save is off: gunicorn's own workers cannot do it")
    assert server.score("x").status == 200
    assert json.loads(server.get("/readyz").body)["state"] == "READY"
