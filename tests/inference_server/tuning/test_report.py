"""The table, the recommendation, and the picture."""

from __future__ import annotations

import builtins
from typing import Any

import pytest

from inference_server.tuning.choice import Choice
from inference_server.tuning.errors import TuneError
from inference_server.tuning.plot import draw
from inference_server.tuning.report import as_json, render_recommendation, render_table
from inference_server.tuning.trial_server import cause_in, describe_answer
from tests.inference_server.tuning.support import trial

TRIALS = [trial(2, 1, clients=4, per_second=1234.5), trial(1, 1, memory_mib=None)]
CHOICE = Choice(TRIALS[0], "because")


def test_the_table_is_aligned_and_marks_the_recommendation():
    assert render_table(TRIALS, TRIALS[0]).splitlines() == [
        "workers  concurrent  clients  requests/s  p50 ms  p99 ms  memory MiB  failures",
        "      1           1        1       100.0     5.0    10.0           -         0",
        "      2           1        4      1234.5     5.0    10.0          50         0"
        "  <- recommended",
    ]


def test_batches_have_a_column_where_there_are_any():
    head, row = render_table([trial(batch=8)]).splitlines()

    assert head.split()[:4] == ["workers", "concurrent", "batch", "clients"]
    assert row.split()[:4] == ["1", "1", "8", "1"]


def test_the_recommendation_is_a_command_line():
    text = render_recommendation(CHOICE, ["--entry_script", "my score.py"])

    assert text.splitlines() == [
        "Recommended: because",
        "  1234.5 requests/s, p99 10.0 ms with 4 clients",
        "",
        "  azmlinfsrv --entry_script 'my score.py' --worker_count 2 --max_concurrent_requests 1",
    ]


def test_machines_get_every_figure():
    content = as_json(TRIALS, CHOICE, [], complete=True)

    assert content["complete"] is True
    assert content["trials"][0] == {
        "workers": 2, "places": 1, "batch": 0, "clients": 4, "per_second": 1234.5, "p50_ms": 5.0,
        "p99_ms": 10.0, "answers": 1234, "failures": 0, "memory_mib": 50.0,
    }  # fmt: skip
    assert content["recommendation"]["command"].startswith("azmlinfsrv --worker_count 2")
    assert as_json([], None, [], complete=False)["recommendation"] is None


def test_the_plot_is_a_png(tmp_path):
    path = tmp_path / "plot.png"

    draw([*TRIALS, trial(batch=4)], TRIALS[0], path)

    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_a_plot_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(TuneError, match=r"no plot: .*No such file"):
        draw(TRIALS, None, tmp_path / "nowhere" / "plot.png")


def test_without_matplotlib_it_is_said_how_to_get_it(tmp_path, monkeypatch):
    original = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return original(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(TuneError, match=r"pip install 'azml\[tune\]'"):
        draw(TRIALS, None, tmp_path / "plot.png")


def test_the_cause_is_the_first_error_with_all_its_lines():
    log = (
        "2026-01-01 00:00:00,000 I [1] azmlinfsrv - Invoking\n"
        "2026-01-01 00:00:00,000 E [1] azmlinfsrv - init failed: KeyError: 'x'\n"
        "  score.py:3 in init\n"
        "2026-01-01 00:00:00,000 E [1] gunicorn.error - Shutting down\n"
    )

    assert cause_in(log) == "init failed: KeyError: 'x'\n  score.py:3 in init"
    assert cause_in("usage: x\nazmlinfsrv: error: no\n") == "azmlinfsrv: error: no"
    assert cause_in("one\ntwo\n") == "one\ntwo"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        pytest.param(b"plain", "plain", id="text"),
        pytest.param(b'{"message": "no"}', "no", id="message"),
        pytest.param(b"[1]", "[1]", id="another value"),
        pytest.param(
            b'{"message": "m", "error": {"type": "KeyError", "message": "x", "file": "score.py",'
            b' "line": 3, "function": "run", "source": "a[x]"}}',
            "KeyError: x\n  at score.py:3 in run: a[x]",
            id="place in the script",
        ),
    ],
)
def test_an_error_answer_is_told_with_its_place(answer, text):
    assert describe_answer(answer) == text
