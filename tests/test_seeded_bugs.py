"""Twelve mistakes that scripts have: the answer or the first lines of the log say file and line.

They are the bugs that peers were measured with. The one that is left out, a bad key in the YAML of
a deployment, is none of the server's.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from tests.conftest import StartServer

MAX_LINES = 10

FAILS_IN_RUN = [
    pytest.param(
        "seeded_key_error.py",
        b"{}",
        (500, "KeyError"),
        "seeded_helper.py:5",
        id="key",
    ),
    pytest.param(
        "seeded_bad_dtype.py",
        b'{"data": [["a", "b"]]}',
        (500, "UFuncTypeError"),
        "seeded_bad_dtype.py:13",
        id="dtype",
    ),
    pytest.param(
        "seeded_wrong_return_type.py",
        b"{}",
        (500, "AttributeError"),
        "seeded_wrong_return_type.py:10",
        id="wrong-return-type",
    ),
    pytest.param(
        "seeded_timeout.py",
        b"{}",
        (504, "ScoringTimeout"),
        "seeded_timeout.py:9",
        id="timeout",
    ),
    pytest.param(
        "seeded_out_of_memory.py",
        b"{}",
        (500, "MemoryError"),
        "seeded_out_of_memory.py:11",
        id="out-of-memory",
    ),
    pytest.param(
        "seeded_non_json_output.py",
        b"{}",
        (500, "UnserialisableError"),
        "seeded_non_json_output.py:5",
        id="non-json-output",
    ),
]


@pytest.mark.parametrize(("script", "body", "outcome", "place"), FAILS_IN_RUN)
def test_a_bug_in_run_is_located_in_the_answer_and_in_the_log(
    start_server: StartServer, script: str, body: bytes, outcome: tuple[int, str], place: str
) -> None:
    server = start_server(script, environ={"SCORING_TIMEOUT_MS": "300"})

    response = server.score(body)

    error = response.json()["error"]
    assert (response.status, error["type"]) == outcome
    assert f"{Path(error['file']).name}:{error['line']}" == place
    request_id = response.headers["x-request-id"]
    server.wait_for_log(r"POST /score \d")
    report = _report(server.stdout, "Encountered Exception")
    assert f"{place} " in "\n".join(report)
    assert request_id in report[0]
    assert len(report) <= MAX_LINES


FAILS_AT_START = [
    pytest.param("seeded_missing_file.py", "seeded_missing_file.py:8", id="missing-file-in-init"),
    pytest.param("seeded_missing_package.py", "seeded_missing_package.py:3", id="missing-package"),
    pytest.param("seeded_wrong_signature.py", "seeded_wrong_signature.py:5", id="wrong-signature"),
]


@pytest.mark.parametrize(("script", "place"), FAILS_AT_START)
def test_a_bug_at_start_is_located_in_the_first_lines_of_the_log(
    start_server: StartServer, tmp_path: Path, script: str, place: str
) -> None:
    server = start_server(script, "--model_dir", str(tmp_path), ready=False)

    assert server.wait_exit() == 3
    assert place in "\n".join(_log(server.stdout)[:MAX_LINES])


def test_a_syntax_error_is_located_in_the_first_lines_of_the_log(
    start_server: StartServer, tmp_path: Path
) -> None:
    script = tmp_path / "score.py"
    script.write_text("def init():\n    pass\n\n\ndef run(data)\n    return data\n")

    server = start_server(script, ready=False)

    assert server.wait_exit() == 3
    assert "score.py:5" in "\n".join(_log(server.stdout)[:MAX_LINES])


def test_a_process_that_is_killed_in_run_is_traced_to_run(start_server: StartServer) -> None:
    server = start_server("seeded_killed.py")

    with pytest.raises(OSError):  # noqa: PT011 - how the end of a connection shows varies
        server.score(b"{}")

    server.wait_for_log(
        r"was sent SIGKILL! Perhaps out of memory\? It was in run\(\) at \S*seeded_killed\.py:9\."
    )


def test_a_busy_port_is_named_with_what_to_do(start_server: StartServer) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        server = start_server("returns_input.py", port=port, ready=False)

        assert server.wait_exit() == 1
    report = _report(server.stdout, "Port")
    assert f"Port {port} of 127.0.0.1 is in use" in report[0]
    assert report[1] == f"  hint: stop that process, or choose another port: --port {port + 1}"


def _log(output: str) -> list[str]:
    """The log from its first line on: records with what belongs to them, without the banner."""
    kept: list[str] = []
    in_record = False
    for line in output.splitlines():
        is_record = re.match(r"\d{4}-\d\d-\d\d ", line) is not None
        in_record = is_record or (in_record and line.startswith(" "))
        if in_record:
            kept.append(line)
    return kept


def _report(output: str, beginning: str) -> list[str]:
    """The record whose message starts so, with the lines that belong to it."""
    lines = output.splitlines()
    start = next(n for n, line in enumerate(lines) if f" - {beginning}" in line)
    end = start + 1
    while end < len(lines) and lines[end].startswith(" "):
        end += 1
    return lines[start:end]
