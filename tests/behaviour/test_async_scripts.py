"""`async def` scripts: one event loop, calls side by side."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from tests.behaviour.support import scoring_request
from tests.conftest import StartServer
from tests.contract.support import shared_server
from tests.servers import ServerProcess

server = shared_server("run_is_async.py")
side_by_side = shared_server("run_is_async.py", "--max_concurrent_requests", "4")
globals_of_flask = shared_server("async_uses_flask_globals.py", "--max_concurrent_requests", "4")


def test_init_and_run_share_an_event_loop(server: ServerProcess) -> None:
    assert server.score('{"wait": 0.01}').json()["same_loop"] is True


def test_calls_are_one_at_a_time_by_default(server: ServerProcess) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(server.score, ['{"wait": 0.05}'] * 4))

    assert {answer.json()["most"] for answer in answers} == {1}


def test_calls_run_side_by_side_when_asked_for(side_by_side: ServerProcess) -> None:
    started = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(side_by_side.score, ['{"wait": 0.3}'] * 8))

    assert {answer.status for answer in answers} == {200}
    assert max(answer.json()["most"] for answer in answers) == 4
    assert 0.6 <= time.monotonic() - started < 1.5


def test_flask_globals_belong_to_their_call(globals_of_flask: ServerProcess) -> None:
    names = [f"request-{n}" for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda name: globals_of_flask.score(name, {"x-request-id": name}), names)
        )

    assert [answer.json() for answer in answers] == [[n, n, n, n, "/score"] for n in names]


def test_health_answers_while_the_loop_is_blocked(server: ServerProcess) -> None:
    with ThreadPoolExecutor(1) as pool:
        blocked = pool.submit(server.score, '{"block": 0.5}')
        states = set()
        while not blocked.done():
            started = time.monotonic()
            states.add(server.get("/readyz").json()["state"])
            assert time.monotonic() - started < 0.3

    assert "BUSY" in states
    assert blocked.result().status == 200


def test_sigterm_finishes_asynchronous_calls(start_server: StartServer) -> None:
    server = start_server("run_is_async.py", "--max_concurrent_requests", "2")

    with server.connect() as running:
        running.sendall(scoring_request('{"wait": 0.5}'))
        assert server.score("{}").status == 200
        assert server.stop() == 0
        answer = running.recv(65536)

    assert answer.startswith(b"HTTP/1.1 200 ")
