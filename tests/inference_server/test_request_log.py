"""The two lines of a request, on the fast way and on the ordinary one."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator

import pytest
from werkzeug.test import create_environ

from inference_server.log_config import FastLineFormatter, JsonLogFormatter, LineHandler
from inference_server.request_context import RequestLabels
from inference_server.request_log import RequestLog, access_log, log
from tests.servers import poll

TIME = r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2},\d{3}"
DATE = r"\[\d{2}/\w{3}/\d{4}:\d{2}:\d{2}:\d{2} \+0000\]"


def packaged_logging(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Log as the packaged configuration does; returns what it would write to stdout.

    Called inside the tests: pytest puts handlers of its own in place before each of them.
    """
    stream = io.StringIO()
    handler = LineHandler(stream)
    handler.setFormatter(FastLineFormatter())
    for logger in (log, access_log):
        monkeypatch.setattr(logger, "handlers", [handler])
        monkeypatch.setattr(logger, "propagate", False)
        monkeypatch.setattr(logger, "level", logging.INFO)
    forget_levels()
    return stream


def forget_levels() -> None:
    """Loggers remember which levels are enabled."""
    log.manager._clear_cache()  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def afterwards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield
    monkeypatch.undo()
    forget_levels()


def add(request_log: RequestLog, target: str = "/score?a=1", *, is_ours: bool = True) -> None:
    environ = create_environ(target, method="POST")
    environ.update(REMOTE_ADDR="10.0.0.1", RAW_URI=target, HTTP_USER_AGENT="agent")
    request_log.add(environ, RequestLabels("id-1"), 200, 0.0015, "7", is_ours=is_ours)


OURS = rf"{TIME} I \[\d+\] azmlinfsrv - POST /score\?a=1 200 1\.500ms 7 \[id-1\]\n"
ACCESS = (
    rf"{TIME} I \[\d+\] gunicorn\.access - 10\.0\.0\.1 - - {DATE} "
    r'"POST /score\?a=1 HTTP/1\.1" 200 7 "-" "agent" \[id-1\]' + "\n"
)


@pytest.mark.parametrize("fast", [True, False])
def test_a_request_takes_two_lines(monkeypatch: pytest.MonkeyPatch, fast: bool):
    stream = packaged_logging(monkeypatch)
    request_log = RequestLog()
    if fast:
        request_log.look_up_handlers()

    add(request_log)

    assert (stream.getvalue() == "") is fast
    request_log.flush()
    assert re.fullmatch(OURS + ACCESS, stream.getvalue())


def test_a_request_of_another_path_takes_the_access_line_only(monkeypatch: pytest.MonkeyPatch):
    stream = packaged_logging(monkeypatch)
    add(RequestLog(), is_ours=False)

    assert re.fullmatch(ACCESS, stream.getvalue())


def test_a_stream_has_no_length(monkeypatch: pytest.MonkeyPatch):
    stream = packaged_logging(monkeypatch)
    environ = create_environ("/score", method="POST")

    RequestLog().add(environ, None, 200, 0.1, "N/A", is_ours=True)

    assert "POST /score 200 100.000ms N/A\n" in stream.getvalue()
    assert '"POST /score HTTP/1.1" 200 - "-"' in stream.getvalue()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_probes_of_health_are_not_logged(monkeypatch: pytest.MonkeyPatch, method: str):
    stream = packaged_logging(monkeypatch)
    RequestLog().add(create_environ("/", method=method), None, 200, 0.1, "7", is_ours=False)

    assert (stream.getvalue() == "") is (method == "GET")


def test_lines_of_one_second_share_their_date(monkeypatch: pytest.MonkeyPatch):
    stream = packaged_logging(monkeypatch)
    request_log = RequestLog()

    for _ in range(3):
        add(request_log, is_ours=False)

    assert len(re.findall(DATE, stream.getvalue())) == 3


@pytest.mark.parametrize("change", ["formatter", "another handler", "level", "no handler"])
def test_any_other_configuration_gets_ordinary_records(
    monkeypatch: pytest.MonkeyPatch, change: str
):
    stream = packaged_logging(monkeypatch)
    if change == "formatter":
        log.handlers[0].setFormatter(JsonLogFormatter())
    elif change == "another handler":
        monkeypatch.setattr(log, "handlers", [*log.handlers, logging.NullHandler()])
    elif change == "level":
        monkeypatch.setattr(log, "level", logging.WARNING)
        forget_levels()
    else:
        monkeypatch.setattr(log, "handlers", [])
        monkeypatch.setattr(access_log, "handlers", [])
    request_log = RequestLog()
    request_log.look_up_handlers()

    add(request_log)
    request_log.flush()

    assert stream.getvalue().count("\n") == {"level": 1, "no handler": 0}.get(change, 2)


def test_lines_of_a_lone_request_are_written_at_once(monkeypatch: pytest.MonkeyPatch):
    stream = packaged_logging(monkeypatch)
    request_log = RequestLog()
    request_log.look_up_handlers()

    add(request_log)
    request_log.flush_soon()

    assert re.fullmatch(OURS + ACCESS, stream.getvalue())


def test_lines_of_requests_that_follow_closely_are_written_a_moment_later(
    monkeypatch: pytest.MonkeyPatch,
):
    stream = packaged_logging(monkeypatch)
    request_log = RequestLog()
    request_log.look_up_handlers()
    request_log.flush_soon()

    add(request_log)
    request_log.flush_soon()
    add(request_log)
    request_log.flush_soon()

    poll(lambda: re.fullmatch(2 * (OURS + ACCESS), stream.getvalue()), timeout=5)
