"""Logs that a person and a machine can read."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.conftest import StartServer
from tests.contract.support import LOG_PREFIX, shared_server
from tests.servers import ServerProcess

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"

text = shared_server("logs_messages.py")
machine = shared_server("logs_messages.py", "--log_format", "json")


def records(server: ServerProcess, request_id: str) -> list[dict[str, Any]]:
    """The log records of one request, each parsed from its line."""
    server.wait_for_log(re.escape(request_id) + r".*POST /score|POST /score.*" + request_id)
    found = [json.loads(line) for line in server.log_lines(r"^\{")]
    return [record for record in found if record.get("request_id") == request_id]


def test_what_the_script_logs_appears_with_the_request_id(text: ServerProcess) -> None:
    text.score("hello", {"x-request-id": "the-first"})

    text.wait_for_log(LOG_PREFIX + r" I \[\d+\] root - user says hello \[the-first\]$")
    text.wait_for_log(LOG_PREFIX + r" W \[\d+\] my_model - careful with hello \[the-first\]$")
    text.wait_for_log(r"azmlinfsrv - POST /score 200 .* \[the-first\]$")
    text.wait_for_log(r'gunicorn\.access - .*"POST /score HTTP/1\.1" 200 .* \[the-first\]$')
    assert text.log_lines("not shown") == []


def test_what_init_logs_has_no_request_id(text: ServerProcess) -> None:
    text.wait_for_log(r"root - loading the model$")


def test_a_failure_takes_at_most_ten_lines(text: ServerProcess) -> None:
    text.score("fail", {"x-request-id": "the-failure"})

    text.wait_for_log(r"POST /score 500 .* \[the-failure\]$")
    lines = text.stdout.splitlines()
    first = next(n for n, line in enumerate(lines) if "Encountered Exception" in line)
    stamped = re.compile(LOG_PREFIX)
    rest = [n for n in range(first + 1, len(lines)) if stamped.match(lines[n])]
    block = lines[first : rest[0] if rest else len(lines)]
    assert 3 <= len(block) <= 10
    assert "RuntimeError: deep down" in block[0]
    assert block[0].endswith("[the-failure]")
    assert re.match(r"  \S*logs_messages\.py:\d+ in descend$", block[1])


def test_every_line_of_the_json_format_is_an_object(machine: ServerProcess) -> None:
    machine.score("hello", {"x-request-id": "parsed"})

    seen = records(machine, "parsed")
    assert {"root", "my_model", "azmlinfsrv", "gunicorn.access"} <= {r["logger"] for r in seen}
    says = next(record for record in seen if record["message"] == "user says hello")
    assert says["level"] == "INFO"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", says["timestamp"])
    stderr = [json.loads(line) for line in machine.stderr.splitlines()]
    assert {"gunicorn.error"} == {record["logger"] for record in stderr}


def test_trace_context_is_carried(machine: ServerProcess) -> None:
    response = machine.score("x", {"x-request-id": "traced", "traceparent": TRACEPARENT})

    assert {record["trace_id"] for record in records(machine, "traced")} == {TRACE_ID}
    assert response.headers["traceparent"].split("-")[1] == TRACE_ID


def test_a_trace_context_that_is_none_is_left_out(machine: ServerProcess) -> None:
    machine.score("x", {"x-request-id": "untraced", "traceparent": "00-nonsense"})

    assert all("trace_id" not in record for record in records(machine, "untraced"))


def test_a_failure_is_one_object_with_its_place(machine: ServerProcess) -> None:
    machine.score("fail", {"x-request-id": "failed"})

    (failure,) = [r for r in records(machine, "failed") if r["level"] == "ERROR"]
    assert failure["error"]["type"] == "RuntimeError"
    assert failure["error"]["file"].endswith("logs_messages.py")
    assert isinstance(failure["error"]["line"], int)


def test_lines_of_concurrent_requests_keep_their_ids(start_server: StartServer) -> None:
    server = start_server("logs_messages.py", "--max_concurrent_requests", "4")
    names = [f"request-{n}" for n in range(20)]

    for name in names:
        server.score(name, {"x-request-id": name})

    for name in names:
        server.wait_for_log(rf"user says {name} \[{name}\]$")


def test_a_higher_level_silences_the_script(start_server: StartServer) -> None:
    server = start_server("logs_messages.py", environ={"AZUREML_LOG_LEVEL": "WARNING"})

    server.score("hello")

    server.wait_for_log("careful with hello")
    assert server.log_lines("user says hello") == []
