"""Health answers at once whatever the scoring script does."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.behaviour.support import quantile, saturated, timed_get, wait_for_queue
from tests.conftest import StartServer
from tests.contract.support import shared_server
from tests.servers import ServerProcess, poll

ROUNDS = 3
PROBES = 150
LIMIT_S = 0.05

computing = shared_server("takes_100_ms.py")


def listening(server: ServerProcess) -> bool:
    """Tell whether connections are accepted."""
    try:
        server.connect(timeout=1).close()
    except OSError:
        return False
    return True


def test_probes_tell_that_the_script_still_loads(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server("slow_init.py", ready=False)
    poll(lambda: listening(server), timeout=10)
    server.wait_for_log("Invoking user's init function")

    live_s, live = timed_get(server, "/livez")
    ready_s, ready = timed_get(server, "/readyz")

    assert (live.status, live.json()) == (200, {"state": "STARTING"})
    assert ready.status == 503
    report = ready.json()
    assert report["state"] == "STARTING"
    assert any("Invoking user's init function" in line for line in report["init_log"])
    assert max(live_s, ready_s) < 1
    (tmp_path / "release").touch()


def test_the_root_and_scoring_wait_for_init(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server("slow_init.py", ready=False)
    poll(lambda: listening(server), timeout=10)

    with ThreadPoolExecutor(2) as pool:
        root = pool.submit(server.get, "/")
        score = pool.submit(server.score, "early")
        wait_for_queue(server, 1)
        held = not root.done() and not score.done()
        (tmp_path / "release").touch()

        assert held
        assert (root.result(10).status, root.result().body) == (200, b"Healthy")
        assert (score.result(10).status, score.result().json()) == (200, "early")
    assert server.get("/readyz").json()["state"] == "READY"


def test_the_init_log_stays_in_the_body(start_server: StartServer) -> None:
    server = start_server("logs_messages.py")

    response = server.get("/readyz")

    assert response.status == 200
    report = response.json()
    assert (report["state"], report["requests_in_flight"], report["queue_length"]) == (
        "READY",
        0,
        0,
    )
    assert any(line.endswith("root - loading the model") for line in report["init_log"])


def test_a_server_with_all_places_taken_is_busy_and_ready(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server("waits_for_release.py")

    with ThreadPoolExecutor(2) as pool:
        pending = [pool.submit(server.score, "x") for _ in range(2)]
        wait_for_queue(server, 1)
        live, ready = server.get("/livez"), server.get("/readyz")
        (tmp_path / "release").touch()
        statuses = [answer.result(10).status for answer in pending]

    assert (live.status, live.json()) == (200, {"state": "BUSY"})
    assert (ready.status, ready.json()["state"]) == (200, "BUSY")
    assert (ready.json()["requests_in_flight"], ready.json()["queue_length"]) == (1, 1)
    assert statuses == [200, 200]
    poll(lambda: server.get("/readyz").json()["state"] == "READY", timeout=5)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["sleep", "compute"])
@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_answer_within_50_ms_while_64_clients_wait(
    computing: ServerProcess, path: str, how: str
) -> None:
    wait_for_queue(computing, 0)
    with saturated(computing, 64, how) as received:
        wait_for_queue(computing, 63)
        rounds = []
        for _ in range(ROUNDS):
            rounds.append(quantile(probe(computing, path), 0.99))
            if rounds[-1] < LIMIT_S:
                break
        scored = len(received)

    print(f"p99 of {path} while run() would {how}: {min(rounds) * 1000:.1f} ms ({scored} scored)")
    assert min(rounds) < LIMIT_S, rounds
    assert scored >= 5, "the model was not under load"


def probe(server: ServerProcess, path: str) -> list[float]:
    """Ask a hundred times a second; the seconds each answer took."""
    seconds: list[float] = []
    due = time.monotonic()
    for _ in range(PROBES):
        due += 0.01
        took, response = timed_get(server, path)
        assert response.status == 200
        seconds.append(took)
        time.sleep(max(0.0, due - time.monotonic()))
    return seconds
