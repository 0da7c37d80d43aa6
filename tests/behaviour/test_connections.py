"""Connections: many idle ones, pipelines, reuse, and readers that are slow."""

from __future__ import annotations

import contextlib
import resource
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.behaviour.support import (
    exchange,
    get_request,
    read_responses,
    read_to_end,
    scoring_request,
)
from tests.conftest import StartServer
from tests.contract.support import shared_server
from tests.responses import parse_response
from tests.servers import ServerProcess, poll

echo = shared_server("returns_input.py")
long_answers = shared_server("returns_length.py")
slow = shared_server("sleeps.py")


def test_200_connections_with_half_a_header_keep_nobody_waiting(echo: ServerProcess) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            idle = stack.enter_context(echo.connect())
            idle.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\n")

        started = time.monotonic()
        answers = [echo.score("x").status for _ in range(20)]
        live = echo.get("/livez").status

        assert answers == [200] * 20
        assert live == 200
        assert time.monotonic() - started < 3


def test_a_connection_is_used_again(echo: ServerProcess) -> None:
    with echo.connect() as connection:
        for number in range(20):
            connection.sendall(scoring_request(f"call {number}", close=False))
            (answer,) = read_responses(connection, 1)
            assert answer.json() == f"call {number}"
            assert answer.headers["Connection"] == "keep-alive"


def test_pipelined_requests_are_answered_in_order(echo: ServerProcess) -> None:
    requests = [scoring_request(f"call {n}", close=False) for n in range(50)]
    requests[10:10] = [get_request("/", close=False)]

    with echo.connect() as connection:
        connection.sendall(b"".join(requests))
        answers = read_responses(connection, 51)

    assert answers.pop(10).body == b"Healthy"
    assert [answer.json() for answer in answers] == [f"call {n}" for n in range(50)]


def test_a_connection_works_on_after_a_long_pipeline(echo: ServerProcess) -> None:
    """More than the server reads ahead, so that it has to stop reading and start again."""
    body = "x" * 1000
    with echo.connect() as connection, ThreadPoolExecutor(1) as pool:
        for count in (1, 150, 300, 1):
            pipeline = scoring_request(body, close=False) * count
            sending = pool.submit(connection.sendall, pipeline)
            answers = read_responses(connection, count)
            sending.result(10)
            assert [answer.json() for answer in answers] == [body] * count


def test_a_connection_works_on_after_a_pipeline_behind_a_slow_request(
    slow: ServerProcess,
) -> None:
    quick = scoring_request("0", "X-Pad: " + "x" * 1000, close=False)
    with slow.connect() as connection:
        connection.sendall(scoring_request("0.3", close=False) + quick * 100)
        read_responses(connection, 101)

        connection.sendall(scoring_request("0", close=False))

        assert read_responses(connection, 1)[0].json() == "awake"


def test_a_pipeline_may_end_with_a_half_close(echo: ServerProcess) -> None:
    with echo.connect() as connection:
        connection.sendall(scoring_request("last but one", close=False))
        connection.sendall(scoring_request("last", close=False))
        connection.shutdown(socket.SHUT_WR)
        answers = read_responses(connection, 2)
        assert connection.recv(1) == b""

    assert [answer.json() for answer in answers] == ["last but one", "last"]


def test_a_request_in_pieces_is_put_together(echo: ServerProcess) -> None:
    request = scoring_request("in pieces", "X-Long: " + "y" * 500)

    with echo.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(request), 7):
            connection.sendall(request[start : start + 7])
        assert parse_response(read_to_end(connection)).json() == "in pieces"


def test_blank_lines_before_a_request_are_skipped(echo: ServerProcess) -> None:
    assert exchange(echo, b"\r\n\r\n" + scoring_request("after")).json() == "after"


def test_keep_alive_can_be_turned_off(start_server: StartServer) -> None:
    server = start_server("returns_input.py", "--keep_alive", "0")

    for body in ("one", "two"):
        answer = exchange(server, scoring_request(body, close=False))
        assert answer.json() == body
        assert answer.headers["Connection"] == "close"


def test_an_idle_connection_is_closed_after_its_time(start_server: StartServer) -> None:
    server = start_server("returns_input.py", "--keep_alive", "0.3")

    with server.connect() as used, server.connect() as unused:
        used.sendall(scoring_request("x", close=False))
        read_responses(used, 1)
        started = time.monotonic()
        assert read_to_end(used) == b""
        assert read_to_end(unused) == b""

    assert 0.2 < time.monotonic() - started < 3


def test_a_client_of_http_1_0_is_answered_and_let_go(echo: ServerProcess) -> None:
    answer = echo.raw(b"POST /score HTTP/1.0\r\nContent-Length: 3\r\n\r\nold")

    assert parse_response(answer).json() == "old"


@pytest.mark.parametrize("size", [20 << 20])
def test_a_slow_reader_of_a_long_answer_keeps_nobody_waiting(
    long_answers: ServerProcess, size: int
) -> None:
    with long_answers.connect() as slow:
        slow.sendall(scoring_request(str(size)))
        poll(lambda: long_answers.get("/readyz").json()["state"] == "READY", timeout=10)
        started = time.monotonic()
        quick = [long_answers.score("3").json() for _ in range(5)]
        seconds = time.monotonic() - started
        answer = parse_response(read_to_end(slow))

    assert quick == ["xxx"] * 5
    assert seconds < 2
    assert len(answer.json()) == size


def test_a_reader_that_stops_is_given_up(start_server: StartServer) -> None:
    server = start_server("returns_length.py", "--body_timeout", "0.5")

    with server.connect() as stopped:
        stopped.sendall(scoring_request(str(20 << 20)))
        poll(lambda: server.get("/readyz").json()["state"] == "READY", timeout=10)
        closed = time.monotonic() + 2
        poll(lambda: time.monotonic() > closed, timeout=5)
        received = 0
        with contextlib.suppress(ConnectionResetError):
            while block := stopped.recv(1 << 20):
                received += len(block)

    assert received < 20 << 20


def test_a_server_short_of_descriptors_recovers(start_server: StartServer) -> None:
    server = start_server("returns_input.py")
    (worker,) = server.worker_pids()
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (40, 40))
    before = cpu_seconds(worker)

    with contextlib.ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(server.connect())
        started = time.monotonic()
        poll(lambda: time.monotonic() - started > 1.5, timeout=5)
        spent = cpu_seconds(worker) - before

    assert poll(lambda: server.score("again").json() == "again", timeout=10)
    assert spent < 0.7, "the worker spins"
    assert server.worker_pids() == [worker]
    server.wait_for_log("(?i)too many open files")


def cpu_seconds(pid: int) -> float:
    """Processor time a process has used."""
    with open(f"/proc/{pid}/stat") as status:  # noqa: PTH123 - not a file on a disk
        fields = status.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_a_client_that_resets_in_the_middle_hurts_nobody(long_answers: ServerProcess) -> None:
    for _ in range(5):
        with long_answers.connect() as leaving:
            leaving.sendall(scoring_request(str(5 << 20)))
            linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
            leaving.recv(1000)
            leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    assert long_answers.score("2").json() == "xx"
    assert long_answers.log_lines(r" E \[\d+\] ") == []
