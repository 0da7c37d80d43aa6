"""SIGTERM finishes what it has been given, SIGINT ends at once; both say so to every client."""

from __future__ import annotations

import http.client
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.behaviour.open_loop import REFUSED, OpenLoop
from tests.behaviour.support import (
    get_request,
    lines_of,
    metric,
    read_responses,
    read_to_end,
    scoring_request,
    wait_for_line,
    wait_for_queue,
)
from tests.conftest import StartServer
from tests.responses import parse_response
from tests.servers import ServerProcess, poll


def refuses(server: ServerProcess) -> bool:
    """Tell whether no new connection is taken."""
    try:
        server.connect(timeout=1).close()
    except OSError:
        return True
    return False


def test_sigterm_finishes_what_runs_and_what_waits(start_server: StartServer) -> None:
    server = start_server("records_calls.py")

    with ThreadPoolExecutor(3) as pool:
        running = pool.submit(server.score, "wait")
        wait_for_line(server.cwd / "calls", "wait")
        queued = [pool.submit(server.score, f"queued {n}") for n in range(2)]
        wait_for_queue(server, 2)
        server.signal(signal.SIGTERM)
        poll(lambda: refuses(server), timeout=5)
        (server.cwd / "release").touch()
        answers = [answer.result(10) for answer in [running, *queued]]

    assert [answer.json() for answer in answers] == ["wait", "queued 0", "queued 1"]
    assert {answer.headers["Connection"] for answer in answers} == {"close"}
    assert server.wait_exit(timeout=5) == 0


def test_sigterm_answers_what_was_sent_before_it(start_server: StartServer) -> None:
    """Bytes that still lie in the kernel when the signal comes are requests too."""
    server = start_server("records_calls.py")
    connections = [server.connect() for _ in range(10)]

    for number, connection in enumerate(connections):
        connection.sendall(scoring_request(f"call {number}", close=False))
    server.signal(signal.SIGTERM)

    answers = [read_responses(connection, 1)[0] for connection in connections]
    for connection in connections:
        connection.close()
    assert [answer.json() for answer in answers] == [f"call {n}" for n in range(10)]
    assert server.wait_exit(timeout=5) == 0


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("pool", [None, 40], ids=["new connections", "kept connections"])
def test_sigterm_drops_no_request_of_a_steady_stream(
    start_server: StartServer, workers: int, pool: int | None
) -> None:
    server = start_server("returns_input.py", "--worker_count", str(workers))
    poll(lambda: metric(server, "azml_workers", state="ready") == workers, timeout=10)
    request = scoring_request("x", close=pool is None)

    outcomes = OpenLoop(server, per_second=100, pool=pool).send(
        100, request, halfway=lambda: server.signal(signal.SIGTERM)
    )

    assert {answer.status for answer in outcomes.answers} == {200}
    assert len(outcomes.answers) >= 50
    assert set(outcomes.failures) <= {REFUSED}
    assert server.wait_exit(timeout=10) == 0


def test_sigterm_lets_a_request_arrive_completely(start_server: StartServer) -> None:
    server = start_server("records_calls.py")
    request = scoring_request("the whole body", close=False)

    with server.connect() as connection:
        connection.sendall(request[:-5])
        poll(lambda: server.get("/").status == 200, timeout=5)
        server.signal(signal.SIGTERM)
        poll(lambda: refuses(server), timeout=5)
        connection.sendall(request[-5:])
        answer = parse_response(read_to_end(connection))

    assert answer.json() == "the whole body"
    assert server.wait_exit(timeout=5) == 0


def test_an_idle_connection_does_not_hold_the_end_up(start_server: StartServer) -> None:
    server = start_server("records_calls.py")

    with server.connect() as connection:
        connection.sendall(get_request("/", close=False))
        assert read_responses(connection, 1)[0].status == 200
        started = time.monotonic()
        server.signal(signal.SIGTERM)
        assert read_to_end(connection) == b""

    assert server.wait_exit(timeout=5) == 0
    assert time.monotonic() - started < 3


def test_a_call_longer_than_the_graceful_timeout_is_given_up(start_server: StartServer) -> None:
    server = start_server("records_calls.py", "--graceful_timeout", "1")

    with server.connect() as connection:
        connection.sendall(scoring_request("wait"))
        wait_for_line(server.cwd / "calls", "wait")
        started = time.monotonic()
        server.signal(signal.SIGTERM)
        code = server.wait_exit(timeout=10)

    assert code == 0
    assert 0.9 < time.monotonic() - started < 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_sigint_refuses_what_is_in_flight_and_ends_at_once(
    start_server: StartServer, number: signal.Signals
) -> None:
    server = start_server("records_calls.py")

    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(server.score, "wait")
        wait_for_line(server.cwd / "calls", "wait")
        queued = pool.submit(server.score, "queued")
        wait_for_queue(server, 1)
        started = time.monotonic()
        server.signal(number)
        answers = [running.result(10), queued.result(10)]
        code = server.wait_exit(timeout=5)

    assert time.monotonic() - started < 2
    assert [answer.status for answer in answers] == [503, 503]
    assert {answer.json()["message"] for answer in answers} == {"The server is shutting down."}
    assert code == 0
    assert lines_of(server.cwd / "calls") == ["wait"]


def test_sigint_ends_a_run_that_blocks_in_c(start_server: StartServer) -> None:
    server = start_server("outlasts_deadline.py")

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.score, "in one piece")
        poll(lambda: server.get("/readyz").json()["state"] == "BUSY", timeout=5)
        started = time.monotonic()
        server.signal(signal.SIGINT)
        status = running.result(10).status
        code = server.wait_exit(timeout=5)

    assert (status, code) == (503, 0)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_init_ends_at_once_and_without_an_error(
    start_server: StartServer, number: signal.Signals
) -> None:
    server = start_server("slow_init.py", ready=False)
    server.wait_for_log("Invoking user's init function")

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(server.score, "early")
        wait_for_queue(server, 1)
        started = time.monotonic()
        server.signal(number)
        code = server.wait_exit(timeout=8)
        answer = waiting.result(5)

    assert code == 0
    assert time.monotonic() - started < 2
    assert answer.status == 503
    assert server.log_lines(r" E \[\d+\] ") == []


def test_a_stream_is_sent_to_its_end_after_sigterm(start_server: StartServer) -> None:
    server = start_server("streams_then_waits.py")

    with ThreadPoolExecutor(1) as pool:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("POST", "/score", body="x")
        response = connection.getresponse()
        assert response.read(5) == b"first"
        server.signal(signal.SIGTERM)
        poll(lambda: refuses(server), timeout=5)
        rest = pool.submit(response.read)
        (server.cwd / "release").touch()

        assert rest.result(10) == b"second"
        connection.close()
    assert server.wait_exit(timeout=5) == 0


def test_a_worker_without_a_master_ends(start_server: StartServer) -> None:
    server = start_server("records_calls.py")
    (worker,) = server.worker_pids()

    server.process.kill()
    server.process.wait(5)

    poll(lambda: refuses(server), timeout=5)
    server.wait_for_log(rf"\[{worker}\].*Parent changed")
