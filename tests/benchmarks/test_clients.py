"""The clients that make load, against a real server."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Sequence

import pytest

from benchmarks.asking import Request, ask
from benchmarks.closed_loop import StdlibClient, choose_client
from benchmarks.errors import MeasureError
from benchmarks.offered import Due, End, Outcome, Plan, Record
from benchmarks.open_loop import run
from benchmarks.replies import Reply, parse
from benchmarks.stdlib_client import exchange
from benchmarks.streams import Expected, read_streams
from tests.benchmarks.tiny_server import TinyServer, tiny_server

REQUESTS = {
    kind: Request(f"/{kind}").encoded()
    for kind in ("ok", "refuse", "hang", "drop", "close", "chunks")
}


@pytest.fixture
def server() -> Generator[TinyServer]:
    with tiny_server() as running:
        yield running


def burst(kind: str, count: int) -> list[Due]:
    return [Due(number / 1000, kind) for number in range(count)]


def ends(outcomes: Sequence[Outcome]) -> Counter[End]:
    return Counter(outcome.end for outcome in outcomes)


@pytest.mark.parametrize("kind", ["ok", "close", "chunks"])
def test_the_open_loop_sends_each_request_once_and_reads_each_answer(server, kind):
    outcomes = run(server.port, Plan(burst(kind, 50), REQUESTS)).outcomes

    assert ends(outcomes) == {End.ANSWERED: 50}
    assert all(outcome.is_ok for outcome in outcomes)
    assert server.paths == [f"/{kind}"] * 50
    assert {outcome.body for outcome in outcomes} == {
        b"token token " if kind == "chunks" else b"10"
    }


def test_the_open_loop_counts_refusals_as_answers(server):
    outcomes = run(server.port, Plan(burst("refuse", 5), REQUESTS)).outcomes

    assert [(o.end, o.status, o.is_ok) for o in outcomes] == [(End.ANSWERED, 429, False)] * 5


def test_the_open_loop_does_not_wait_for_answers_before_it_sends_more(server):
    arrivals = [Due(0.0, "hang"), *burst("ok", 20)]

    outcomes = run(server.port, Plan(arrivals, REQUESTS, timeout_s=0.5)).outcomes

    assert ends(outcomes) == {End.ANSWERED: 20, End.TIMED_OUT: 1}
    assert outcomes[-1].kind == "hang"
    assert outcomes[-1].latency >= 0.5


def test_latency_counts_from_when_a_request_was_due_even_without_a_free_connection(server):
    plan = Plan(
        [Due(0.0, "hang"), Due(0.0, "ok")],
        REQUESTS,
        max_connections=1,
        deeds=[(0.2, server.released.set)],
    )

    hung, served = run(server.port, plan).outcomes

    assert (hung.kind, hung.end) == ("hang", End.BROKEN)
    assert (served.kind, served.is_ok) == ("ok", True)
    assert served.latency >= 0.2
    assert served.lag == 0.0


def test_the_open_loop_notes_connections_that_break_and_goes_on(server):
    outcomes = run(server.port, Plan([*burst("drop", 3), Due(0.01, "ok")], REQUESTS)).outcomes

    assert ends(outcomes) == {End.BROKEN: 3, End.ANSWERED: 1}


def test_the_open_loop_notes_that_nobody_listens():
    with tiny_server() as server:
        port = server.port

    assert ends(run(port, Plan(burst("ok", 3), REQUESTS)).outcomes) == {End.BROKEN: 3}


def test_what_is_still_open_at_the_end_is_cut_off(server):
    plan = Plan([Due(0.0, "hang"), Due(0.05, "ok")], REQUESTS, drain=False)

    outcomes = run(server.port, plan).outcomes

    assert End.CUT_OFF in ends(outcomes)
    assert len(outcomes) == 2


def test_the_open_loop_ends_when_it_is_told_to(server):
    plan = Plan(
        [Due(n / 100, "ok") for n in range(5000)], REQUESTS, until=lambda outcome: outcome.is_ok
    )

    outcomes = run(server.port, plan).outcomes

    assert sum(outcome.is_ok for outcome in outcomes) == 1
    assert len(server.paths) < 100


def test_deeds_are_done_once_and_in_order(server):
    done: list[int] = []
    plan = Plan(
        burst("ok", 30),
        REQUESTS,
        deeds=[(0.02, lambda: done.append(2)), (0.01, lambda: done.append(1))],
    )

    run(server.port, plan)

    assert done == [1, 2]


def test_the_generator_says_how_late_it_was():
    def sent(lag: float) -> Outcome:
        return Outcome("ok", 0.0, lag, 1.0, End.ANSWERED, 200)

    one_late = Record([sent(0.001)] * 99 + [sent(9.0)], idle=0.5)
    two_late = Record([sent(0.001)] * 98 + [sent(9.0)] * 2, idle=0.5)
    assert (one_late.lag_s, one_late.fell_behind) == (0.001, False)
    assert (two_late.lag_s, two_late.fell_behind) == (9.0, True)
    assert Record([], idle=0.5).lag_s == 0.0
    assert Record([sent(0.001)], idle=0.01).fell_behind


def test_a_generator_with_little_to_do_says_so(server):
    trickle = run(server.port, Plan([Due(0.1 * n, "ok") for n in range(5)], REQUESTS))

    assert trickle.idle > 0.5
    assert not trickle.fell_behind


@pytest.mark.parametrize(
    ("received", "ended", "expected"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n", False, None, id="half a head"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n1", False, None, id="half"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n10",
            False,
            Reply(200, b"10", True),
            id="whole",
        ),
        pytest.param(
            b"HTTP/1.1 429 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            False,
            Reply(429, b"", False),
            id="closing",
        ),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\nab", True, Reply(200, b"ab", False), id="until end"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\nab", False, None, id="not yet the end"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2;x=1\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            False,
            Reply(200, b"abc", True),
            id="chunks",
        ),
    ],
)
def test_answers_are_read(received, ended, expected):
    assert parse(received, ended=ended) == expected


@pytest.mark.parametrize(
    ("received", "ended"),
    [
        (b"", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n1", True),
        (b"SSH-2\r\n\r\n", False),
    ],
)
def test_what_is_no_whole_answer_is_an_error(received, ended):
    with pytest.raises(ValueError, match=r"closed|no HTTP"):
        parse(received, ended=ended)


@pytest.mark.parametrize("path", ["/ok", "/close"])
def test_the_closed_loop_sends_an_exact_number(server, path):
    done = exchange(server.port, Request(path).encoded(), connections=3, seconds=30, count=20)

    assert (done.answers, done.refused, len(server.paths)) == (20, 0, 20)


@pytest.mark.parametrize("client", [StdlibClient(), choose_client()])
def test_closed_loops_count_refusals_apart(server, client):
    load = client.run(server.port, Request("/ok"), 2, 1)

    assert (load.refused, load.refused_percent) == (0, 0)
    assert load.requests > 0
    assert load.rate == pytest.approx(load.requests / load.seconds)
    with pytest.raises(MeasureError, match="no request was served"):
        client.run(server.port, Request("/refuse"), 2, 1)


@pytest.mark.parametrize("client", [StdlibClient(), choose_client()])
def test_closed_loops_fail_when_requests_get_no_answer(server, client):
    with pytest.raises(MeasureError, match=r"no answer|closed|no request was served"):
        client.run(server.port, Request("/drop"), 2, 1)


def test_streams_are_counted_by_tokens(server):
    begin = time.perf_counter()
    streamed = read_streams(server.port, REQUESTS["chunks"], 3, Expected(b"token ", 2, 30))

    assert streamed.tokens_per_s >= 6 / (time.perf_counter() - begin)
    assert streamed.first_token_ms > 0


def test_a_stream_that_ends_early_is_an_error(server):
    with pytest.raises(MeasureError, match="ended behind 0 of 5 tokens"):
        read_streams(server.port, REQUESTS["close"], 1, Expected(b"token ", 5, 30))


def test_one_request_is_asked(server):
    assert ask(server.port, Request("/refuse"), 10) == (429, b"10")
