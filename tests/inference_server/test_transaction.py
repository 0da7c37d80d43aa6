"""One request's answer on its way out: headers, counts and the log line."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from werkzeug.test import create_environ

from inference_server.cors import CorsPolicy
from inference_server.replies import Reply, message_reply
from inference_server.request_context import RequestLabels
from inference_server.request_ids import RequestIds
from inference_server.request_log import RequestLog
from inference_server.scoreboard import Row, Scoreboard, Stage
from inference_server.transaction import SERVER_VERSION, AnswerPolicy, Transaction

IDS = RequestIds("A", "B")


class KeptExchange:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[Reply] = []
        self.started: list[Reply] = []

    def send(self, reply: Reply) -> None:
        self.sent.append(reply)

    def start(self, reply: Reply) -> None:
        self.started.append(reply)

    def write(self, chunk: bytes) -> None: ...

    def finish(self, *, complete: bool) -> None: ...


@pytest.fixture
def row() -> Row:
    return Scoreboard().take_row()


def transaction_of(
    row: Row,
    path: str = "/score",
    *,
    version: str = "azmlinfsrv/1",
    cors: str | None = None,
    ids: RequestIds | None = IDS,
    on_done: Any = None,
    **headers: str,
) -> Transaction:
    header = (SERVER_VERSION, version) if version else None
    policy = AnswerPolicy(header, CorsPolicy(cors) if cors else None, row, RequestLog())
    environ = create_environ(path, method="POST", headers=headers)
    transaction = Transaction(environ, KeptExchange(), policy, on_done)
    transaction.identify(ids)
    return transaction


def sent_by(transaction: Transaction, reply: Reply) -> Reply:
    transaction.send(reply)
    exchange = transaction.exchange
    assert isinstance(exchange, KeptExchange)
    (sent,) = exchange.sent
    return sent


def test_an_answer_gets_the_headers_that_all_answers_have(row: Row):
    transaction = transaction_of(row, cors="*", Origin="http://a")

    sent = sent_by(transaction, Reply("200 OK", [("X-Own", "1")], b"abc"))

    assert sent.headers == [
        ("X-Own", "1"),
        ("Access-Control-Allow-Origin", "http://a"),
        ("Vary", "Origin"),
        ("x-ms-server-version", "azmlinfsrv/1"),
        ("x-request-id", "A"),
        ("x-ms-request-id", "B"),
    ]


@pytest.mark.parametrize(
    ("from_script", "versions"),
    [pytest.param(True, ["own"], id="of a script"), pytest.param(False, ["own", "1"], id="ours")],
)
def test_a_version_that_the_script_sets_is_not_doubled(
    row: Row, from_script: bool, versions: list[str]
):
    reply = Reply("200 OK", [("X-Ms-Server-Version", "own")], from_script=from_script)

    sent = sent_by(transaction_of(row, version="1"), reply)

    assert [v for n, v in sent.headers if n.lower() == "x-ms-server-version"] == versions


def test_without_version_and_ids_nothing_is_added(row: Row):
    transaction = transaction_of(row, version="", ids=None)

    assert sent_by(transaction, Reply("200 OK", [])).headers == []
    assert transaction.labels is None


def test_ids_of_the_script_make_way(row: Row):
    reply = Reply("200 OK", [("X-Request-Id", "own"), ("X-Own", "1")], from_script=True)

    sent = sent_by(transaction_of(row, version=""), reply)

    assert sent.headers == [("X-Own", "1"), ("x-request-id", "A"), ("x-ms-request-id", "B")]


def test_a_streamed_answer_gets_them_too(row: Row):
    transaction = transaction_of(row)

    transaction.start_stream(Reply("200 OK", []))

    assert isinstance(transaction.exchange, KeptExchange)
    (started,) = transaction.exchange.started
    assert ("x-request-id", "A") in started.headers
    assert row.statuses == {}


def test_an_answer_is_counted_and_told(row: Row):
    told: list[tuple[Transaction, Reply, float]] = []
    transaction = transaction_of(row, on_done=lambda *what: told.append(what))

    reply = sent_by(transaction, message_reply(400, "no"))

    assert row.statuses == {400: 1}
    assert sum(row.histogram(Stage.TOTAL).counts) == 1
    ((told_transaction, told_reply, seconds),) = told
    assert (told_transaction, told_reply, seconds >= 0) == (transaction, reply, True)


def test_only_scoring_requests_are_measured(row: Row):
    sent_by(transaction_of(row, "/swagger.json"), message_reply(200, "x"))

    assert row.statuses == {200: 1}
    assert sum(row.histogram(Stage.TOTAL).counts) == 0


@pytest.mark.parametrize(
    ("path", "ids", "loggers"),
    [
        pytest.param("/score", IDS, ["azmlinfsrv", "gunicorn.access"], id="score"),
        pytest.param("/swagger.json", IDS, ["azmlinfsrv", "gunicorn.access"], id="documents"),
        pytest.param("/score", None, ["gunicorn.access"], id="without ids"),
        pytest.param("/other", IDS, ["gunicorn.access"], id="other path"),
        pytest.param("/livez", IDS, [], id="probe"),
    ],
)
def test_a_request_is_logged_where_the_reference_logs_it(
    row: Row,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    ids: RequestIds | None,
    loggers: list[str],
):
    for name in ("azmlinfsrv", "gunicorn.access"):
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
    with (
        caplog.at_level(logging.INFO, "azmlinfsrv"),
        caplog.at_level(logging.INFO, "gunicorn.access"),
    ):
        sent_by(transaction_of(row, path, ids=ids), message_reply(200, "x"))

    assert [record.name for record in caplog.records] == loggers


@pytest.mark.parametrize(
    ("path", "found"),
    [
        pytest.param("//score", "/score", id="two"),
        pytest.param("///score//x", "/score//x", id="three"),
        pytest.param("/score", "/score", id="one"),
        pytest.param("//", "/", id="nothing else"),
    ],
)
def test_slashes_at_the_start_of_a_path_count_as_one(row: Row, path: str, found: str):
    environ = create_environ("/")
    environ["PATH_INFO"] = path

    transaction = Transaction(environ, KeptExchange(), AnswerPolicy(None, None, row, RequestLog()))

    assert (transaction.path, environ["PATH_INFO"]) == (found, found)


def test_log_lines_know_the_request(row: Row):
    ids = RequestIds("A", trace_id="T")

    assert transaction_of(row, ids=ids).labels == RequestLabels("A", "T")
