"""Who gets to `run()`: places, the queue, and clients that leave it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.behaviour.support import (
    exchange,
    get_request,
    lines_of,
    metric,
    queue_length,
    read_responses,
    scoring_request,
    wait_for_line,
    wait_for_queue,
)
from tests.conftest import StartServer
from tests.contract.support import shared_server
from tests.responses import Response
from tests.servers import ServerProcess, poll

one_place = shared_server("reports_overlap.py", "--max_queue", "50")
three_places = shared_server(
    "reports_overlap.py", "--max_concurrent_requests", "3", "--max_queue", "50"
)


@pytest.fixture
def held(start_server: StartServer) -> Iterator[ServerProcess]:
    """A server whose only place is taken until the file `release` appears."""
    server = start_server("records_calls.py", "--max_queue", "2")
    with server.connect() as connection:
        connection.sendall(scoring_request("wait"))
        wait_for_line(server.cwd / "calls", "wait")
        yield server
        (server.cwd / "release").touch()


def overlap_of(server: ServerProcess, clients: int) -> set[int]:
    """Send so many requests at once and return the overlaps that `run()` saw."""
    with ThreadPoolExecutor(clients) as pool:
        answers = list(pool.map(server.score, ["0.05"] * clients))
    assert {answer.status for answer in answers} == {200}
    return {answer.json() for answer in answers}


def test_calls_never_overlap_by_default(one_place: ServerProcess) -> None:
    assert overlap_of(one_place, 12) == {1}


def test_as_many_calls_overlap_as_asked_for(three_places: ServerProcess) -> None:
    assert max(overlap_of(three_places, 12)) == 3


def test_beyond_the_queue_a_request_is_refused_at_once(held: ServerProcess) -> None:
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(held.score, f"queued {n}") for n in range(2)]
        wait_for_queue(held, 2)

        response = held.score("one too many")

        assert response.status == 429
        assert 1 <= int(response.headers["Retry-After"]) <= 60
        assert "Retry after" in response.json()["message"]
        assert response.headers["x-ms-run-function-failed"] == "False"
        assert held.get("/").status == 200
        assert metric(held, "azml_rejected_requests_total", reason="queue_full") == 1
        (held.cwd / "release").touch()
        assert {answer.result(10).status for answer in waiting} == {200}
    assert "one too many" not in lines_of(held.cwd / "calls")


def test_no_queue_at_all_is_possible(start_server: StartServer) -> None:
    server = start_server("records_calls.py", "--max_queue", "0")

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.score, "wait")
        wait_for_line(server.cwd / "calls", "wait")
        refused = server.score("second")
        (server.cwd / "release").touch()
        scored = running.result(10)

    assert (refused.status, scored.status) == (429, 200)
    assert poll(lambda: server.score("third").status == 200, timeout=5)


@pytest.mark.parametrize("how", ["closes", "resets", "half-closes"])
def test_a_client_that_leaves_frees_its_place_in_the_queue(held: ServerProcess, how: str) -> None:
    leaving = held.connect()
    leaving.sendall(scoring_request("left"))
    wait_for_queue(held, 1)

    if how == "half-closes":
        leaving.shutdown(socket.SHUT_WR)
    elif how == "resets":
        # Lingering for no time at all turns the close into a reset.
        linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
        leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    if how != "half-closes":
        leaving.close()

    wait_for_queue(held, 0)
    leaving.close()
    assert metric(held, "azml_rejected_requests_total", reason="client_gone") == 1
    (held.cwd / "release").touch()
    assert poll(lambda: scored(held, "after"), timeout=5).json() == "after"
    assert lines_of(held.cwd / "calls") == ["wait", "after"]


def scored(server: ServerProcess, body: str) -> Response | None:
    """Return the answer if it is a good one."""
    response = server.score(body)
    return response if response.status == 200 else None


def test_a_half_closed_client_gets_its_answer_from_an_idle_server(one_place: ServerProcess) -> None:
    response = exchange(one_place, scoring_request("0.3"), half_close=True)

    assert (response.status, response.json()) == (200, 1)


def test_a_client_that_leaves_during_init_frees_its_place(start_server: StartServer) -> None:
    server = start_server("slow_init.py", ready=False)
    server.wait_for_log("Invoking user's init function")
    with server.connect() as connection:
        connection.sendall(scoring_request("impatient"))
        wait_for_queue(server, 1)

    wait_for_queue(server, 0)

    (server.cwd / "release").touch()
    assert server.wait_until_ready().score("patient").json() == "patient"


def test_a_busy_worker_leaves_new_clients_to_an_idle_one(start_server: StartServer) -> None:
    server = start_server("reports_process.py", "--worker_count", "2")
    poll(lambda: metric(server, "azml_workers", state="ready") == 2, timeout=10)

    shared = 0
    with ThreadPoolExecutor(1) as pool:
        for _ in range(10):
            first = pool.submit(server.score, "first")
            poll(lambda: metric(server, "azml_requests_in_flight") == 1, timeout=5)
            second = server.score("second").json()["pid"]
            shared += first.result(5).json()["pid"] == second

    assert shared <= 2, f"{shared} of 10 requests waited behind another one"


def test_a_probe_that_leaves_during_init_is_forgotten(start_server: StartServer) -> None:
    server = start_server("slow_init.py", ready=False)
    server.wait_for_log("Invoking user's init function")
    (worker,) = server.worker_pids()
    before = descriptors(worker)

    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(server.connect()).sendall(get_request("/"))
        poll(lambda: descriptors(worker) >= before + 20, timeout=5)

    poll(lambda: descriptors(worker) <= before + 2, timeout=5)


def descriptors(pid: int) -> int:
    """Count the open files of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_the_queue_keeps_its_order(start_server: StartServer) -> None:
    server = start_server("records_calls.py", "--max_queue", "10")
    sent = ["wait", *(f"call {n}" for n in range(8))]
    connections = []
    for number, body in enumerate(sent):
        connection = server.connect()
        connections.append(connection)
        connection.sendall(scoring_request(body))
        if number == 0:
            wait_for_line(server.cwd / "calls", "wait")
        else:
            wait_for_queue(server, number)

    (server.cwd / "release").touch()
    answers = [read_responses(connection, 1)[0].json() for connection in connections]

    for connection in connections:
        connection.close()
    assert answers == sent
    assert lines_of(server.cwd / "calls") == sent
    assert queue_length(server) == 0


def test_a_client_that_waits_for_each_answer_is_never_refused(start_server: StartServer) -> None:
    server = start_server("returns_input.py", "--max_queue", "0")

    statuses = {server.score("x").status for _ in range(200)}

    assert statuses == {200}
