"""The scoreboard in Prometheus format."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import Counter
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families

from inference_server.metrics import render_metrics
from inference_server.scoreboard import Rejection, Scoreboard, Stage, WorkerState


@pytest.fixture
def board() -> Scoreboard:
    board = Scoreboard(3)
    first, second, _ = board
    first.state, second.state = WorkerState.READY, WorkerState.STARTING
    for row in (first, second):
        row.count_status(200)
        row.observe(Stage.RUN, 0.02)
        row.set_load(1, 2)
        row.observe_batch(3)
    first.count_status(504)
    first.observe(Stage.RUN, 1000)
    first.count_rejection(Rejection.DEADLINE)
    second.add_restart()
    return board


def samples_of(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_numbers_of_all_workers_are_added_up(board: Scoreboard):
    content_type, body = render_metrics(board, "")

    found = samples_of(body.decode())
    expected = {
        ("azml_requests_total", (("status", "200"),)): 2,
        ("azml_requests_total", (("status", "504"),)): 1,
        ("azml_rejected_requests_total", (("reason", "deadline"),)): 1,
        ("azml_rejected_requests_total", (("reason", "queue_full"),)): 0,
        ("azml_run_duration_seconds_bucket", (("le", "0.01"),)): 0,
        ("azml_run_duration_seconds_bucket", (("le", "0.025"),)): 2,
        ("azml_run_duration_seconds_bucket", (("le", "300.0"),)): 2,
        ("azml_run_duration_seconds_bucket", (("le", "+Inf"),)): 3,
        ("azml_run_duration_seconds_count", ()): 3,
        ("azml_run_duration_seconds_sum", ()): 1000.04,
        ("azml_queue_duration_seconds_count", ()): 0,
        ("azml_batch_size_bucket", (("le", "2.0"),)): 0,
        ("azml_batch_size_bucket", (("le", "4.0"),)): 2,
        ("azml_batch_size_bucket", (("le", "+Inf"),)): 2,
        ("azml_batch_size_sum", ()): 6,
        ("azml_request_duration_seconds_count", ()): 0,
        ("azml_requests_in_flight", ()): 2,
        ("azml_queue_length", ()): 4,
        ("azml_workers", (("state", "ready"),)): 1,
        ("azml_workers", (("state", "starting"),)): 1,
        ("azml_workers", (("state", "failed"),)): 0,
        ("azml_worker_restarts_total", ()): 1,
    }
    assert {key: found[key] for key in expected} == expected
    assert content_type.startswith("text/plain")


def test_a_dead_workers_load_does_not_count(board: Scoreboard):
    for row in board:
        row.state = WorkerState.NONE

    found = samples_of(render_metrics(board, "")[1].decode())

    assert found["azml_requests_in_flight", ()] == 0


def test_openmetrics_is_served_to_who_accepts_it(board: Scoreboard):
    content_type, body = render_metrics(board, "application/openmetrics-text; version=1.0.0")

    assert content_type.startswith("application/openmetrics-text")
    assert "azml_requests" in {family.name for family in parse_openmetrics(body.decode())}


def test_metrics_of_the_script_are_included(board: Scoreboard):
    Counter("test_of_ours_calls", "Calls of a test.").inc(3)

    found = samples_of(render_metrics(board, "")[1].decode())

    assert found["test_of_ours_calls_total", ()] == 3


def test_metrics_of_all_processes_are_included_when_asked_for(
    board: Scoreboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    for process in (1, 2):
        values = MmapedDict(str(tmp_path / f"counter_{process}.db"))
        values.write_value(mmap_key("from_another", "from_another_total", [], [], "x"), 5, 0)
        values.close()

    found = samples_of(render_metrics(board, "")[1].decode())

    assert found["from_another_total", ()] == 10
    assert found["azml_requests_in_flight", ()] == 2
