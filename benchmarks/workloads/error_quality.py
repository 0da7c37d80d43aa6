"""D3: what a user is told about a mistake."""

from __future__ import annotations

import http.client
import re
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.asking import OK, Request, ask
from benchmarks.environments import Installed
from benchmarks.errors import MeasureError
from benchmarks.figures import Better, Figure
from benchmarks.running import START_TIMEOUT_S, RunningServer
from benchmarks.servers.base import Kind, Server
from benchmarks.workloads.base import Bench

FIRST_LINES = 10
_SETTLED_S = 0.3
_POLL_S = 0.02
_RECORD = re.compile(r"\[?\d{4}-\d\d-\d\d[ T]|Traceback|[A-Z]+: |[\w.]*(Error|Exception)\b")


@dataclass(frozen=True)
class Bug:
    """A mistake in a scoring script of the tests, and where it is.

    Attributes:
        script: Module in `tests/scoring_scripts`.
        file: File of the mistake.
        line: Line of the mistake.
        at_start: Whether it shows before the first request.
        body: What is sent.
    """

    script: str
    file: str
    line: int
    at_start: bool = False
    body: bytes = b"{}"


BUGS = (
    Bug("seeded_key_error", "seeded_helper.py", 5),
    Bug("seeded_bad_dtype", "seeded_bad_dtype.py", 13, body=b'{"data": [["a", "b"]]}'),
    Bug("seeded_wrong_return_type", "seeded_wrong_return_type.py", 10),
    Bug("seeded_out_of_memory", "seeded_out_of_memory.py", 11),
    Bug("seeded_non_json_output", "seeded_non_json_output.py", 5),
    Bug("seeded_missing_file", "seeded_missing_file.py", 8, at_start=True),
    Bug("seeded_missing_package", "seeded_missing_package.py", 3, at_start=True),
    Bug("seeded_syntax_error", "seeded_syntax_error.py", 5, at_start=True),
)


@dataclass(frozen=True)
class Told:
    """What a server told about one bug.

    Attributes:
        in_body: The answer names file and line.
        in_first_lines: So do the first lines of the log about it.
        lines: Lines that were logged about it.
        failed: The answer is an error; for a failing start, the exit code is.
        seconds: Until the answer, or the end of the command.
    """

    in_body: bool
    in_first_lines: bool
    lines: int
    failed: bool
    seconds: float


def names_place(text: str, bug: Bug) -> bool:
    """Whether a text names file and line, in one of the forms that are in use."""
    file = re.escape(bug.file)
    forms = (
        rf'{file}"?, line {bug.line}\b',
        rf"{file}:{bug.line}\b",
        rf'{file}", "line": {bug.line}\b',
    )
    return any(re.search(form, text) for form in forms)


def figures_of(told: Mapping[Bug, Told]) -> dict[str, float]:
    """The figures that a table shows, from what was told about each bug."""
    in_run = [t for bug, t in told.items() if not bug.at_start]
    at_start = [t for bug, t in told.items() if bug.at_start]
    return {
        "D3-body": _percent([t.in_body for t in in_run]),
        "D3-log": _percent([t.in_first_lines for t in told.values()]),
        "D3-lines": statistics.median(t.lines for t in told.values()),
        "D3-exit": _percent([t.failed for t in at_start]),
        "D3-seconds": statistics.median(t.seconds for t in at_start),
    }


def _percent(answers: Sequence[bool]) -> float:
    return 100 * sum(answers) / len(answers)


@dataclass(frozen=True)
class ErrorQuality:
    """Bugs that are seeded in scoring scripts, one server start each."""

    name: str = "D3"
    title: str = "D3: errors"
    about: str = (
        f"{len(BUGS)} mistakes in scoring scripts, those of `tests/test_seeded_bugs.py` that any "
        "server can meet: a missing key, a bad dtype, a wrong return type, memory, an answer that "
        "is no JSON; a missing file, a missing package, a syntax error.\n"
        "FastAPI runs the same scripts behind a route.\n"
        "Log records and tracebacks count as lines of the log, a banner does not."
    )
    kinds: Sequence[Kind] = (Kind.SEEDED,)
    figures: Sequence[Figure] = (
        Figure("D3-body", "Answers that name file and line", "% of bugs in `run()`",
               in_chart=True),
        Figure(
            "D3-log", f"First {FIRST_LINES} lines of the log that name them", "% of bugs",
            in_chart=True,
        ),
        Figure("D3-lines", "Lines logged for a bug", "", "the median bug's", Better.LESS,
               in_chart=True),
        Figure("D3-exit", "Failing starts that end with an exit code above 0", "%"),
        Figure("D3-seconds", "Command to the end of a failing start", "s", "the median's",
               Better.LESS, digits=2),
    )  # fmt: skip
    most_rounds: int = 1

    def suits(self, server: Server, kind: Kind) -> bool:
        """Any server that can run the scripts."""
        return True

    def measure(self, installed: Installed, kind: Kind, bench: Bench) -> Mapping[str, float]:
        """See `Workload.measure`."""
        return figures_of({bug: _try(installed, kind, bench, bug) for bug in BUGS})


def _try(installed: Installed, kind: Kind, bench: Bench, bug: Bug) -> Told:
    with RunningServer(installed, kind, bench.cores.server, {"script": bug.script}) as server:
        told = _start(server, bug) if bug.at_start else _run(server, bug)
        server.kill()
    return told


def _start(server: RunningServer, bug: Bug) -> Told:
    code = server.wait_exit()
    seconds = time.perf_counter() - server.spawned_at
    lines = without_banner([*server.stdout.splitlines(), *server.stderr.splitlines()])
    return Told(False, _is_early(lines, bug), len(lines), code != 0, seconds)


def _run(server: RunningServer, bug: Bug) -> Told:
    _wait_until_listening(server)
    before = _settled_log(server)
    begin = time.perf_counter()
    path = server.scoring_request.path
    status, body = ask(server.port, Request(path, bug.body), START_TIMEOUT_S)
    seconds = time.perf_counter() - begin
    after = _settled_log(server)
    lines = [line for old, new in zip(before, after, strict=True) for line in new[len(old) :]]
    in_body = names_place(body.decode(errors="replace"), bug)
    return Told(in_body, _is_early(lines, bug), len(lines), status != OK, seconds)


def without_banner(lines: Sequence[str]) -> list[str]:
    """Log records and tracebacks, with the indented lines that belong to them."""
    kept: list[str] = []
    in_record = False
    for line in lines:
        in_record = _RECORD.match(line) is not None or (in_record and line.startswith(" "))
        if in_record:
            kept.append(line)
    return kept


def _is_early(lines: Sequence[str], bug: Bug) -> bool:
    return names_place("\n".join(lines[:FIRST_LINES]), bug)


def _wait_until_listening(server: RunningServer) -> None:
    """Wait for any answer; the routes that exist differ, and so may their status."""
    deadline = time.perf_counter() + START_TIMEOUT_S
    while not _listens(server):
        if server.returncode is not None or time.perf_counter() > deadline:
            raise MeasureError(f"does not listen; its exit code is {server.returncode}")
        time.sleep(_POLL_S)


def _listens(server: RunningServer) -> bool:
    try:
        ask(server.port, Request("/", b""), START_TIMEOUT_S)
    except (OSError, http.client.HTTPException):
        return False
    return True


def _settled_log(server: RunningServer) -> tuple[list[str], list[str]]:
    """The lines of each stream, once nothing new has come for a while."""
    lines = server.stdout.splitlines(), server.stderr.splitlines()
    changed_at = time.perf_counter()
    while time.perf_counter() - changed_at < _SETTLED_S:
        time.sleep(_POLL_S)
        now = server.stdout.splitlines(), server.stderr.splitlines()
        if now != lines:
            lines, changed_at = now, time.perf_counter()
    return lines
