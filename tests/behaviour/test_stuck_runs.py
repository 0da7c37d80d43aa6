"""A process whose `run()` never comes back is replaced."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from tests.behaviour.support import metric, trickle, wait_for_queue
from tests.conftest import StartServer
from tests.responses import Response
from tests.servers import ServerProcess, poll

LIMITS = ("--scoring_timeout_ms", "200", "--stuck_grace", "0.6")


def scored(server: ServerProcess) -> Response | None:
    """Return the answer if it is a good one."""
    try:
        response = server.score("now")
    except OSError:
        return None
    return response if response.status == 200 else None


def test_a_stuck_process_is_replaced_and_those_who_wait_are_told(start_server: StartServer) -> None:
    server = start_server("outlasts_deadline.py", *LIMITS)
    pid = server.score("now").json()

    with ThreadPoolExecutor(2) as pool:
        stuck = pool.submit(server.score, "never returns")
        poll(lambda: server.get("/readyz").json()["requests_in_flight"] == 1, timeout=5)
        waiting = pool.submit(server.score, "now")
        wait_for_queue(server, 1)
        first, second = stuck.result(10), waiting.result(10)

    assert first.status == 504
    assert second.status == 503
    assert int(second.headers["Retry-After"]) >= 1
    assert "stuck" in second.json()["message"]
    started = time.monotonic()
    after = poll(lambda: scored(server), timeout=10)
    print(f"scoring again {time.monotonic() - started:.2f} s after the refusal")
    assert after.json() != pid
    place = server.wait_for_log(rf"this worker \(pid {pid}\) is replaced\n  (\S+):\d+ in swallow")
    assert place[1].endswith("outlasts_deadline.py")
    assert metric(server, "azml_worker_restarts_total") == 1


def test_the_other_workers_keep_serving(start_server: StartServer) -> None:
    server = start_server(
        "outlasts_deadline.py", "--worker_count", "2", "--max_queue", "5", *LIMITS
    )
    poll(lambda: metric(server, "azml_workers", state="ready") == 2, timeout=10)

    with trickle(server, "now") as seen:
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(server.score, "never returns").result(10).status == 504
        poll(lambda: metric(server, "azml_worker_restarts_total") == 1, timeout=10)
        poll(lambda: metric(server, "azml_workers", state="ready") == 2, timeout=10)

    assert not seen.failures
    assert seen.statuses <= {200, 503}
    assert [answer for answer in seen.answers if answer.status == 503] == []
    assert len(seen.answers) > 20


def test_a_call_beside_the_stuck_one_is_finished_first(start_server: StartServer) -> None:
    server = start_server("outlasts_deadline.py", "--max_concurrent_requests", "2", *LIMITS)
    pid = server.score("now").json()

    assert server.score("never returns").status == 504
    beside = server.score("now")

    assert (beside.status, beside.json()) == (200, pid)
    poll(lambda: (a := scored(server)) is not None and a.json() != pid, timeout=10)


def test_a_stuck_asynchronous_run_is_replaced(start_server: StartServer) -> None:
    server = start_server("run_is_async.py", *LIMITS)
    before = server.worker_pids()

    assert server.score('{"block": 60}').status == 504

    poll(lambda: server.worker_pids() and server.worker_pids() != before, timeout=10)
    assert server.wait_until_ready().score("{}").status == 200
