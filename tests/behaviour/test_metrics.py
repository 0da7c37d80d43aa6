"""`/metrics`: right over several workers, and readable by Prometheus's own parser."""

from __future__ import annotations

import contextlib
import itertools
import math
from concurrent.futures import ThreadPoolExecutor

from tests.behaviour.support import (
    Samples,
    metric,
    read_metrics,
    scoring_request,
    wait_for_line,
    wait_for_queue,
)
from tests.conftest import StartServer
from tests.servers import ServerProcess, poll

REQUESTS = 60
OK = ("azml_requests_total", (("status", "200"),))
READINGS = ("readings", ())
readings: dict[ServerProcess, int] = {}
HISTOGRAMS = (
    "azml_queue_duration_seconds",
    "azml_run_duration_seconds",
    "azml_request_duration_seconds",
)


def buckets(samples: Samples, name: str) -> list[tuple[float, float]]:
    """Bounds and cumulative counts of a histogram, in rising order."""
    found = [
        (math.inf if dict(labels)["le"] == "+Inf" else float(dict(labels)["le"]), value)
        for (sample, labels), value in samples.items()
        if sample == f"{name}_bucket"
    ]
    return sorted(found)


def settled_metrics(server: ServerProcess) -> Samples:
    """Read until nothing but the reading itself was counted since the reading before.

    A request is counted after its answer was sent, perhaps by another process than the next one.
    The number of readings is kept among the samples.
    """
    earlier: Samples = {}

    def settled() -> Samples | None:
        nonlocal earlier
        last, earlier = earlier, read_metrics(server)
        readings[server] = readings.get(server, 0) + 1
        return earlier if last and earlier[OK] - last[OK] == 1 else None

    samples = poll(settled, timeout=5)
    samples[READINGS] = readings[server]
    return samples


def test_totals_over_two_workers_equal_what_was_sent(start_server: StartServer) -> None:
    server = start_server("defines_metrics.py", "--worker_count", "2")
    poll(lambda: metric(server, "azml_workers", state="ready") == 2, timeout=10)
    before = settled_metrics(server)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: server.score(f"row {n % 2}"), range(REQUESTS)))

    assert {answer.status for answer in answers} == {200}
    samples = settled_metrics(server)
    for name in HISTOGRAMS:
        count = (f"{name}_count", ())
        assert samples[count] - before[count] == REQUESTS
        cumulative = [value for _, value in buckets(samples, name)]
        assert cumulative == sorted(cumulative)
        assert cumulative[-1] == samples[count]
    readings = samples[READINGS] - before[READINGS]
    assert samples[OK] - before[OK] == REQUESTS + readings
    assert metric(server, "azml_workers", state="ready") == 2


def test_durations_are_in_their_histograms(start_server: StartServer) -> None:
    server = start_server("takes_100_ms.py")

    for _ in range(3):
        server.score("sleep")

    samples = read_metrics(server)
    total = samples[("azml_run_duration_seconds_sum", ())]
    assert 0.3 <= total < 0.6
    counts = dict(buckets(samples, "azml_run_duration_seconds"))
    assert (counts[0.05], counts[0.25], counts[math.inf]) == (0, 3, 3)
    assert samples[("azml_request_duration_seconds_sum", ())] >= total
    assert samples[("azml_queue_duration_seconds_count", ())] == 3


def test_load_is_seen_while_it_lasts(start_server: StartServer) -> None:
    server = start_server("records_calls.py")

    with server.connect() as running, server.connect() as queued:
        running.sendall(scoring_request("wait"))
        wait_for_line(server.cwd / "calls", "wait")
        queued.sendall(scoring_request("queued"))
        wait_for_queue(server, 1)
        during = read_metrics(server)
        (server.cwd / "release").touch()
        assert queued.recv(65536).startswith(b"HTTP/1.1 200 ")

    assert during[("azml_requests_in_flight", ())] == 1
    assert during[("azml_queue_length", ())] == 1
    poll(lambda: metric(server, "azml_requests_in_flight") == 0, timeout=5)
    assert metric(server, "azml_queue_length") == 0


def test_load_of_the_other_worker_is_seen_at_once(start_server: StartServer) -> None:
    server = start_server("records_calls.py", "--worker_count", "2")
    poll(lambda: metric(server, "azml_workers", state="ready") == 2, timeout=10)

    with contextlib.ExitStack() as stack:
        connections = []

        def both_are_busy() -> bool:
            connection = stack.enter_context(server.connect())
            connection.sendall(scoring_request("wait"))
            connections.append(connection)
            return metric(server, "azml_requests_in_flight") == 2

        poll(both_are_busy, timeout=5)
        (server.cwd / "release").touch()
        for connection in connections:
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_answers_are_counted_by_status(start_server: StartServer) -> None:
    server = start_server("run_raises.py")

    server.score("fail")
    server.get("/nowhere")
    server.raw(b"nonsense\r\n\r\n")

    samples = read_metrics(server)
    counts = {
        status: samples.get(("azml_requests_total", (("status", status),)))
        for status in ("404", "400")
    }
    assert counts == {"404": 1, "400": 1}


def test_metrics_of_the_script_are_there_too(start_server: StartServer) -> None:
    server = start_server("defines_metrics.py")
    for label in ("cat", "dog", "cat"):
        server.score(label)

    assert metric(server, "my_model_scored_total", label="cat") == 2
    assert metric(server, "my_model_scored_total", label="dog") == 1


def test_metrics_of_the_script_are_summed_when_a_folder_is_given(start_server: StartServer) -> None:
    folder = start_server("returns_input.py").cwd / "metrics"
    folder.mkdir()
    server = start_server(
        "defines_metrics.py",
        "--worker_count",
        "2",
        environ={"PROMETHEUS_MULTIPROC_DIR": str(folder)},
    )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: server.score("cat"), range(40)))

    assert metric(server, "my_model_scored_total", label="cat") == 40


def test_the_format_can_be_negotiated(start_server: StartServer) -> None:
    server = start_server("returns_input.py")

    plain = server.get("/metrics")
    open_metrics = server.get("/metrics", {"Accept": "application/openmetrics-text; version=1.0.0"})

    assert plain.headers["Content-Type"].startswith("text/plain; version=")
    assert open_metrics.headers["Content-Type"].startswith("application/openmetrics-text")
    assert open_metrics.text.endswith("# EOF\n")


def test_no_sample_goes_back(start_server: StartServer) -> None:
    server = start_server("returns_input.py")
    readings = []
    for _ in range(5):
        server.score("x")
        readings.append(read_metrics(server))

    for earlier, later in itertools.pairwise(readings):
        for key, value in earlier.items():
            if key[0].startswith("azml_") and key[0].endswith(("_total", "_count", "_bucket")):
                assert later[key] >= value, key
