"""More requests than `run()` can do: it works at its limit, and the rest is refused at once."""

from __future__ import annotations

import contextlib
import re
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.behaviour.open_loop import OpenLoop, Outcomes
from tests.behaviour.support import (
    get_request,
    metric,
    queue_length,
    read_responses,
    scoring_request,
)
from tests.conftest import StartServer
from tests.servers import ServerProcess, poll, server_command

REJECTED = "azml_rejected_requests_total"

RUN_S = 0.1
"""What one call of the script `takes_100_ms.py` takes."""


def overload(server: ServerProcess, count: int, pool: int | None = None) -> Outcomes:
    """Offer several times what one place can do."""
    request = scoring_request("sleep", close=pool is None)
    return OpenLoop(server, per_second=60, pool=pool).send(count, request)


@pytest.mark.parametrize("pool", [None, 40], ids=["new connections", "kept connections"])
def test_under_overload_run_works_at_its_limit(start_server: StartServer, pool: int | None) -> None:
    server = start_server("takes_100_ms.py", "--max_queue", "5")

    with ThreadPoolExecutor(1) as other:
        offered = other.submit(overload, server, 200, pool)
        probes = []
        while not offered.done():
            probes.append(server.get("/readyz").status)
    outcomes = offered.result()

    scored, refused = outcomes.with_status(200), outcomes.with_status(429)
    assert outcomes.failures == []
    assert len(scored) + len(refused) == 200
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
    assert set(probes) == {200}
    span = outcomes.answered_at[-1] - outcomes.answered_at[0]
    assert len(scored) * RUN_S / span > 0.7, "run() was idle while requests were refused"


def test_an_overflowing_queue_is_kept_short(start_server: StartServer) -> None:
    """Otherwise the last of the rush would be answered ten seconds after it."""
    server = start_server("takes_100_ms.py", "--max_queue", "20")
    assert server.score("sleep").status == 200

    with ThreadPoolExecutor(1) as other:
        offered = other.submit(overload, server, 300)
        poll(lambda: metric(server, REJECTED, reason="queue_full") > 0, timeout=10)
        poll(lambda: queue_length(server) <= 6, timeout=10, what="a short queue")
        longest = 0
        while not offered.done():
            longest = max(longest, queue_length(server))

    assert longest <= 8
    assert server.score("sleep").status == 200


def test_thousands_of_refusals_are_counted_not_listed(start_server: StartServer) -> None:
    server = start_server("takes_100_ms.py", "--max_queue", "0")

    outcomes = OpenLoop(server, per_second=600).send(600, scoring_request("sleep"))

    refused = len(outcomes.with_status(429))
    pattern = r"(\d+) more requests were answered 429"
    server.wait_for_log(pattern)
    listed = len(server.log_lines(r"azmlinfsrv - POST /score 429 "))
    poll(lambda: listed + sum(map(int, re.findall(pattern, server.log))) == refused, timeout=5)
    assert listed < refused / 2
    assert len(server.log_lines("POST /score 200")) == len(outcomes.with_status(200))


@pytest.mark.skipif(sys.platform == "win32", reason="not on this machine: no ulimit")
def test_idle_connections_give_way_when_files_run_out(start_server: StartServer) -> None:
    limited = ["bash", "-c", 'ulimit -n 60; exec "$0" "$@"', str(server_command())]
    server = start_server("returns_input.py", command=limited)
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            idle = stack.enter_context(server.connect())
            idle.sendall(get_request("/", close=False))
            read_responses(idle, 1)

        late = []
        for _ in range(40):
            # With its request at once: a connection that has sent none is idle as well.
            late.append(stack.enter_context(server.connect()))
            late[-1].sendall(scoring_request("late"))
        answers = [read_responses(connection, 1)[0] for connection in late]

    assert {answer.status for answer in answers} == {200}
