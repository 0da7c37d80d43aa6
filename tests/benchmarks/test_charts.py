"""Charts show medians and ranges; the pictures are real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.charts import Bar, charts
from benchmarks.drawing import draw_all
from benchmarks.servers import Role
from tests.benchmarks.canned import results


def test_there_is_a_chart_for_each_workload_that_has_something_to_show():
    assert [chart.name for chart in charts(results())] == ["P0", "P2", "D1"]


def test_a_panel_has_a_bar_for_each_server_in_order():
    samples = {
        "P0-rate-32": {"fastapi": [9000.0], "azml": [4000.0, 6500.0, 5000.0]},
        "P0-p99-32": {"azml": [1.0]},
    }

    (chart,) = charts(results(samples))

    (panel,) = chart.panels
    assert panel.title == "Served at 32 connections (requests per second)\nmore is better"
    assert panel.bars == (
        Bar("azml", Role.OURS, 5000.0, 4000.0, 6500.0, "5,000"),
        Bar("FastAPI def", Role.PEER, 9000.0, 9000.0, 9000.0, "9,000"),
    )


@pytest.mark.slow
def test_charts_are_drawn_as_small_png_files_that_repeat(tmp_path: Path):
    drawn = draw_all(charts(results()), tmp_path / "one")
    again = draw_all(charts(results()), tmp_path / "two")

    assert [path.name for path in drawn] == ["P0.png", "P2.png", "D1.png"]
    for path, copy in zip(drawn, again, strict=True):
        content = path.read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) < 100_000
        assert content == copy.read_bytes()
