"""Shapes of log lines, where they go, and what becomes of print()."""

from __future__ import annotations

import builtins
import io
import json
import logging
import logging.config
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inference_server import log_config
from inference_server.errors import StartError
from inference_server.log_config import (
    MAX_DEFERRED,
    AMLLogFormatter,
    FastLineFormatter,
    InitLog,
    JsonLogFormatter,
    LineHandler,
    RootAccessFilter,
    configure_logging,
    hook_print,
    load_user_logging,
    print_unhooked,
)
from inference_server.request_context import RequestLabels, current_request
from inference_server.settings import Settings
from tests.inference_server.support import restored_logging

LABELS = RequestLabels("id-1", "trace-1")


@pytest.fixture(autouse=True)
def keep_logging() -> Iterator[None]:
    """Put the loggers back as they were."""
    with restored_logging():
        yield


def record_of(message: str, *arguments: Any, level: int = logging.INFO, **more: Any) -> Any:
    record = logging.LogRecord("azmlinfsrv.x", level, "f.py", 1, message, arguments, None)
    record.created, record.msecs, record.process = 1_700_000_000.25, 250, 7
    record.__dict__.update(more)
    return record


def error_information() -> Any:
    try:
        raise ValueError("no")
    except ValueError:
        return sys.exc_info()


PREFIX = "2023-11-14 22:13:20,250"


@pytest.mark.parametrize("formatter", [AMLLogFormatter(), FastLineFormatter()])
def test_a_line_has_utc_time_letter_process_and_logger(formatter: logging.Formatter):
    assert formatter.format(record_of("a %s", "b")) == f"{PREFIX} I [7] azmlinfsrv.x - a b"


@pytest.mark.parametrize("formatter", [AMLLogFormatter(), FastLineFormatter()])
@pytest.mark.parametrize("where", ["record", "context"])
def test_the_request_id_ends_the_first_line(formatter: logging.Formatter, where: str):
    record = record_of("first\nsecond", level=logging.ERROR)
    token = current_request.set(LABELS if where == "context" else None)
    if where == "record":
        record.request = LABELS

    try:
        line = formatter.format(record)
    finally:
        current_request.reset(token)

    assert line == f"{PREFIX} E [7] azmlinfsrv.x - first [id-1]\nsecond"


@pytest.mark.parametrize("formatter", [AMLLogFormatter(), FastLineFormatter()])
def test_a_traceback_and_a_stack_follow_the_line(formatter: logging.Formatter):
    lines = formatter.format(
        record_of("failed", exc_info=error_information(), stack_info="Stack:\n  here")
    ).splitlines()

    assert lines[0] == f"{PREFIX} I [7] azmlinfsrv.x - failed"
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-3:] == ["ValueError: no", "Stack:", "  here"]


def test_the_shape_of_a_line_may_be_chosen():
    formatter = AMLLogFormatter("{levelname} {message}", None, "{")

    assert formatter.format(record_of("a")) == "INFO a"


def test_the_fast_formatter_follows_the_clock():
    formatter = FastLineFormatter()

    lines = [
        formatter.line(created, "I", 7, "n", "m", None)
        for created in (0.001, 0.999, 1.5, 86400 * 365)
    ]

    assert [line[:23] for line in lines] == [
        "1970-01-01 00:00:00,001",
        "1970-01-01 00:00:00,999",
        "1970-01-01 00:00:01,500",
        "1971-01-01 00:00:00,000",
    ]


def test_a_json_line_is_an_object():
    record = record_of("a\n%s", "b", fields={"error": {"type": "E"}}, request=LABELS)

    line = JsonLogFormatter().format(record)

    assert "\n" not in line
    assert json.loads(line) == {
        "timestamp": "2023-11-14T22:13:20.250Z",
        "level": "INFO",
        "process": 7,
        "logger": "azmlinfsrv.x",
        "message": "a\nb",
        "request_id": "id-1",
        "trace_id": "trace-1",
        "error": {"type": "E"},
    }


def test_a_json_line_names_no_trace_that_is_not_there():
    entry = json.loads(JsonLogFormatter().format(record_of("a", request=RequestLabels("id"))))

    assert ("trace_id" in entry, entry["request_id"]) == (False, "id")


def test_a_json_line_holds_traceback_and_stack():
    record = record_of("a", exc_info=error_information(), stack_info="Stack")

    entry = json.loads(JsonLogFormatter().format(record))

    assert entry["exception"].splitlines()[-1] == "ValueError: no"
    assert entry["stack"] == "Stack"


@pytest.mark.parametrize("fields", ["no dict", {"value": object()}])
def test_fields_of_the_users_own_do_not_break_a_json_line(fields: object):
    assert json.loads(JsonLogFormatter().format(record_of("a", fields=fields)))["message"] == "a"


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        pytest.param('"GET / HTTP/1.1" 200', False, id="probe"),
        pytest.param('"HEAD / HTTP/1.1" 200', True, id="other method"),
        pytest.param('"GET /score HTTP/1.1" 200', True, id="other path"),
    ],
)
def test_access_lines_of_probes_are_dropped(message: str, kept: bool):
    assert RootAccessFilter().filter(record_of(message)) is kept


def test_the_last_lines_of_the_start_are_kept():
    log = InitLog(lines=2)

    for message in ("a", "b", "c"):
        log.handle(record_of(message))

    assert [line[-1] for line in log.lines] == ["b", "c"]


# --- the handler ---------------------------------------------------------------------------------


class CountingStream(io.StringIO):
    """Counts the system calls that a real stream would make."""

    def __init__(self) -> None:
        super().__init__()
        self.flushes = 0

    def flush(self) -> None:
        self.flushes += 1


@pytest.fixture
def stream() -> CountingStream:
    return CountingStream()


@pytest.fixture
def handler(stream: CountingStream) -> LineHandler:
    handler = LineHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s"))
    return handler


def test_a_record_is_written_at_once_behind_what_was_deferred(
    handler: LineHandler, stream: CountingStream
):
    handler.defer("a")
    handler.defer("b")
    assert (stream.getvalue(), stream.flushes) == ("", 0)

    handler.handle(record_of("c"))

    assert (stream.getvalue(), stream.flushes) == ("a\nb\nc\n", 1)


def test_a_flush_without_lines_costs_nothing(handler: LineHandler, stream: CountingStream):
    handler.flush()

    assert stream.flushes == 0


def test_deferred_lines_do_not_pile_up(handler: LineHandler, stream: CountingStream):
    for _ in range(MAX_DEFERRED + 1):
        handler.defer("x")

    assert (stream.getvalue(), stream.flushes) == ("x\n" * (MAX_DEFERRED + 1), 1)


def test_no_line_is_lost_when_threads_write_at_the_same_time(
    handler: LineHandler, stream: CountingStream
):
    def write(name: int) -> None:
        for number in range(200):
            handler.defer(f"{name}-{number}")
            if number % 7 == 0:
                handler.flush()

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    handler.flush()

    lines = stream.getvalue().splitlines()
    assert sorted(lines) == sorted(f"{name}-{n}" for name in range(4) for n in range(200))


def test_a_bad_record_does_not_raise(
    handler: LineHandler, stream: CountingStream, capsys: pytest.CaptureFixture[str]
):
    handler.handle(record_of("%d", "no number"))

    assert stream.getvalue() == ""
    assert "Logging error" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        pytest.param("utf-8", "h\u00e9 \\ud800\n".encode(), id="UTF-8"),
        pytest.param("ascii", b"h\\xe9 \\ud800\n", id="ASCII"),
    ],
)
def test_a_line_that_the_stream_cannot_encode_is_written_escaped(encoding: str, written: bytes):
    raw = io.BytesIO()
    handler = LineHandler(io.TextIOWrapper(raw, encoding))

    handler.defer("h\u00e9 \ud800")
    handler.flush()

    assert raw.getvalue() == written


@pytest.mark.parametrize("error", [BrokenPipeError(), ValueError("closed")])
def test_a_reader_that_went_away_does_not_matter(error: Exception):
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise error

    handler = LineHandler(Broken())

    handler.defer("a")
    handler.flush()
    handler.handle(record_of("b"))


# --- configurations ------------------------------------------------------------------------------


def test_the_packaged_configuration_writes_where_the_reference_does(
    capsys: pytest.CaptureFixture[str],
):
    configure_logging(Settings())
    for name in ("azmlinfsrv.print", "gunicorn.access", "gunicorn.error", "my.script"):
        logging.getLogger(name).info("from %s", name)
    logging.getLogger("gunicorn.access").info('"GET / HTTP/1.1" 200')
    logging.debug("hidden")  # noqa: LOG015 - as scripts do

    out, err = capsys.readouterr()
    assert re.findall(r"- (.*)", out) == [
        "Loaded logging config from inference_server.log_config",
        "from azmlinfsrv.print",
        "from gunicorn.access",
        "from my.script",
    ]
    assert re.findall(r"- (.*)", err) == ["from gunicorn.error"]


def test_the_level_counts_for_the_script_and_for_the_server(capsys: pytest.CaptureFixture[str]):
    configure_logging(Settings(log_level="WARNING"))
    logging.getLogger("azmlinfsrv").info("hidden")
    logging.getLogger("my.script").info("hidden")
    logging.getLogger("my.script").warning("shown")

    assert re.findall(r"- (.*)", capsys.readouterr().out) == ["shown"]


def test_lines_may_be_json(capsys: pytest.CaptureFixture[str]):
    configure_logging(Settings(log_format="json"))

    assert json.loads(capsys.readouterr().out)["logger"] == "azmlinfsrv"


USERS = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "own": {
            "()": "inference_server.drop_in.log_config.AMLLogFormatter",
            "fmt": "own %(message)s",
        }
    },
    "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "own",
                         "stream": "ext://sys.stdout"}},
    "loggers": {"azmlinfsrv": {"level": "INFO", "handlers": ["out"], "propagate": False}},
}  # fmt: skip


@pytest.mark.parametrize("folder", ["root", "beside the script"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_the_users_configuration_is_installed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: str, mark: bytes
):
    (tmp_path / "code").mkdir()
    path = (tmp_path if folder == "root" else tmp_path / "code") / "logging.json"
    path.write_bytes(mark + json.dumps(USERS).encode())

    load_user_logging(Settings(app_root=str(tmp_path), entry_script="code/score.py"))

    assert capsys.readouterr().out == f"own Loaded logging config from {path}\n"


def test_without_a_file_nothing_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    load_user_logging(Settings(app_root=str(tmp_path)))

    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        pytest.param("{", "Expecting property name enclosed in double quotes", id="no JSON"),
        pytest.param("[" * 100_000, "maximum recursion depth exceeded", id="nested too deep"),
        pytest.param("{}", "dictionary doesn't specify a version", id="no version"),
        pytest.param(
            '{"version": 1, "formatters": {"a": {"()": "no.such.Formatter"}}}',
            "Unable to configure formatter 'a': Cannot resolve 'no.such.Formatter'",
            id="unknown class",
        ),
        pytest.param("[1]", "", id="a list"),
    ],
)
def test_a_faulty_file_is_named(tmp_path: Path, content: str, cause: str):
    path = tmp_path / "logging.json"
    path.write_text(content)

    with pytest.raises(StartError) as caught:
        load_user_logging(Settings(app_root=str(tmp_path)))

    assert str(caught.value).startswith(f"Invalid config file!: {path}: {cause}")
    assert caught.value.hint == "logging.json takes what Python's logging.config.dictConfig takes"


# --- print ---------------------------------------------------------------------------------------


@pytest.fixture
def hooked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(builtins, "print", builtins.print)
    monkeypatch.setattr(logging.getLogger("azmlinfsrv"), "propagate", True)
    caplog.set_level(logging.INFO, "azmlinfsrv.print")
    hook_print()
    return caplog


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        pytest.param(("a", 1), {}, "a 1", id="values"),
        pytest.param(("a", "b"), {"sep": "-"}, "a-b", id="separator"),
        pytest.param(("a", "b"), {"sep": None}, "a b", id="default separator"),
        pytest.param(("a",), {"end": "", "flush": True}, "a", id="end"),
        pytest.param(("a\nb",), {}, "a\nb", id="several lines"),
        pytest.param((), {}, "", id="nothing"),
        pytest.param(("100%",), {}, "100%", id="percent sign"),
    ],
)
def test_a_print_is_one_record(
    hooked: pytest.LogCaptureFixture,
    values: tuple[Any, ...],
    options: dict[str, Any],
    message: str,
):
    print(*values, **options)
    print(*values, file=sys.stdout, **options)

    assert [(r.name, r.getMessage()) for r in hooked.records] == [("azmlinfsrv.print", message)] * 2


def test_a_print_to_elsewhere_goes_there(
    hooked: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
):
    target = io.StringIO()

    print("a", "b", sep="-", end="!", file=target)
    print("c", file=sys.stderr)

    assert (target.getvalue(), capsys.readouterr().err) == ("a-b!", "c\n")
    assert hooked.records == []


def test_a_bare_line_is_printed_whatever_is_hooked(
    hooked: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    printed: list[str] = []
    monkeypatch.setattr(log_config, "_original_print", lambda line, *, flush: printed.append(line))

    print_unhooked("bare")

    assert (printed, hooked.records) == (["bare"], [])
