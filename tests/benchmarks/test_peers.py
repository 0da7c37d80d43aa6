"""What runs in the peers' environments compiles, is there, and is pinned; none is installed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.environments import requirements
from benchmarks.peers import tasks
from benchmarks.servers import SERVERS, Kind, Role, Server, Service
from benchmarks.servers.base import PEERS

MODULES = sorted(PEERS.glob("**/*.py"))
ENVIRONMENTS = sorted({server.environment for server in SERVERS})


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PEERS)))
def test_every_module_compiles(path: Path):
    compile(path.read_text(encoding="utf-8"), path, "exec")


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_environment_is_pinned(name: str):
    lines = [
        line
        for line in requirements(name).read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]

    assert lines
    assert [line for line in lines if not re.fullmatch(r"[\w.\-]+==[\w.+]+", line)] == []


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_versions_that_are_shown_are_pinned(server: Server):
    pinned = requirements(server.environment).read_text(encoding="utf-8").lower()

    for package in server.packages:
        assert package == "azml" or re.search(rf"^{package}==", pinned, re.MULTILINE)


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_what_a_server_is_told_to_serve_is_there(server: Server):
    files = {path.name for folder in server.files for path in folder.iterdir()}

    for kind, service in server.services.items():
        words = " ".join(service.command)
        if kind is not Kind.SEEDED:
            names = re.findall(r"\b([a-z_]+)(?:\.py|:\w+)|start ([a-z_]+)", words)
            assert names, words
            for name in ("".join(pair) for pair in names):
                assert f"{name}.py" in files or name in files, words


@pytest.mark.parametrize("path", sorted(PEERS.glob("mlserver/*/*.json")), ids=str)
def test_settings_of_mlserver_are_json(path: Path):
    assert isinstance(json.loads(path.read_text(encoding="utf-8")), dict)


def test_a_total_is_the_sum_of_the_row():
    assert tasks.total([[1, 2, 3, 4]]) == 10
    assert tasks.on_device([[[1, 2]], [[3, 4]]]) == [3, 7]


@pytest.mark.parametrize(
    ("kind", "body", "is_right"),
    [
        pytest.param(Kind.NO_OP, b"10", True, id="int"),
        pytest.param(Kind.NO_OP, b"10.0", True, id="float"),
        pytest.param(Kind.NO_OP, b"11", False, id="another"),
        pytest.param(Kind.NO_OP, b"ten", False, id="no JSON"),
        pytest.param(Kind.IRIS, b"[2]", True, id="iris"),
        pytest.param(Kind.STREAM, b"token " * tasks.TOKENS, True, id="stream"),
        pytest.param(Kind.STREAM, b"token " * 9, False, id="short stream"),
        pytest.param(Kind.PROCESS, b"7", True, id="process"),
        pytest.param(Kind.PROCESS, b"null", False, id="no process"),
    ],
)
def test_answers_are_checked(kind: Kind, body: bytes, is_right: bool):
    assert Service(("x",)).is_right(kind, body) is is_right


def test_values_are_found_in_what_peers_wrap_around_them():
    mlserver = next(server for server in SERVERS if server.name == "mlserver")
    service = mlserver.services[Kind.NO_OP]

    assert service.value(b'{"outputs": [{"data": [10.0]}]}') == 10
    with pytest.raises(ValueError, match="no value"):
        service.value(b'{"error": "x"}')


def test_there_is_one_reference_and_two_engines_of_ours():
    roles = [server.role for server in SERVERS]

    assert roles.count(Role.OURS) == 2
    assert roles.count(Role.REFERENCE) == 1
