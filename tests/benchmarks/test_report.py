"""Page, README part and JSON are pure functions of results."""

from __future__ import annotations

import re

import pytest

from benchmarks import publishing
from benchmarks.errors import ResultsError
from benchmarks.readme import BEGIN, END, placed, section
from benchmarks.report import cell, noise_notes, page, table
from benchmarks.results import Failure, from_json
from benchmarks.servers import SERVERS
from benchmarks.workloads import FIGURES, WORKLOADS
from tests.benchmarks.canned import results
from tests.checkout import ROOT

RATE = FIGURES["P0-rate-32"]


def test_a_table_has_a_row_for_each_figure_and_a_column_for_each_server_that_has_one():
    samples = {
        "P0-rate-32": {"azml": [4000.0, 6500.0, 5000.0], "reference": [1000.0]},
        "P0-p99-32": {"azml": [4.126]},
    }

    lines = table([RATE, FIGURES["P0-p99-32"]], SERVERS, results(samples).summaries)

    assert lines == [
        "|  | azml | azureml-inference-server-http |",
        "| --- | ---: | ---: |",
        "| Served at 32 connections (requests per second) | 5,000 (4,000 to 6,500) | 1,000 |",
        "| Slowest 1 % at 32 connections (ms) | 4.13 | - |",
    ]


def test_a_server_without_a_figure_has_a_dash():
    assert cell(RATE, None) == "-"


def test_the_page_says_when_how_and_on_what_it_was_made():
    text = page(results(failures=(Failure("D5", "litserve", "process", "is gone", 2),)))

    for expected in (
        "Written by `python -m benchmarks --quick` on 2026-01-02",
        "- Machine: A processor, 2 cores; load average 0.13 before the run, 1.50 at its end",
        "- Closed loop: wrk 4, 10 s per measurement behind 3 s of warm-up.",
        "## P0: overhead\n",
        "![P0: overhead](benchmarks/P0.png)",
        "- D5 (process) of LitServe: is gone (2 times)",
        "D4, the rebuild of an image, is left out",
    ):
        assert expected in text
    assert "## P4" not in text


def test_the_page_lists_what_is_lost():
    text = page(results())

    lost = text.partition("## Where we lose")[2].partition("\n## ")[0]
    assert "| P0: Slowest 1 % at 32 connections (ms) | FastAPI `def` | 3.12 | azml: 4.00 |" in lost


def test_samples_that_lie_far_apart_are_pointed_out():
    (note,) = noise_notes(results({"P0-rate-32": {"azml": [100, 131, 100], "fastapi": [9, 10]}}))

    assert note.endswith("\n  P0: Served at 32 connections (azml).")


def test_samples_that_lie_close_together_need_no_note():
    assert noise_notes(results({"P0-rate-32": {"azml": [100, 130, 100]}})) == []


def test_results_survive_their_json():
    made = results(failures=(Failure("D5", "litserve", "process", "is gone"),))

    read = from_json(made.as_json())

    assert (read.circumstances, read.versions, read.samples) == (
        made.circumstances,
        made.versions,
        made.samples,
    )
    assert list(read.failures) == list(made.failures)
    assert page(read) == page(made)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"circumstances": {"date": 1}}'])
def test_other_json_is_refused(text):
    with pytest.raises(ResultsError, match="no results of a run"):
        from_json(text)


def test_the_readme_part_shows_targets_command_and_losses():
    text = section(results())

    assert (
        "| No-op, 32 connections, Granian engine | 20.00 x the reference (≥ 15); "
        "2.35 x FastAPI `async def` (≥ 2.5, **missed**); 0.50 x raw Granian (≥ 0.6, **missed**) |"
    ) in text
    assert "| Batches of 16, 64 connections, our better engine | 91.2 % (≥ 85 %) |" in text
    assert "`python -m benchmarks --quick` on 2026-01-02" in text
    assert "at least, in P0: FastAPI `async def`, FastAPI `def`. [docs/" in text


def test_the_readme_part_replaces_what_stood_between_the_marks():
    assert placed(f"a\n{BEGIN}\n\nold\n{END}\nb", "new") == f"a\n{BEGIN}\nnew\n{END}\nb"


def test_a_readme_without_marks_is_refused():
    with pytest.raises(ResultsError, match="speed: written by"):
        placed("nothing", "new")


def published():
    return publishing.read(publishing.PUBLISHED)


def test_the_published_page_is_that_of_the_published_results():
    assert publishing.PAGE.read_text(encoding="utf-8") == page(published()), (
        "run python -m benchmarks --publish --from-results docs/benchmarks.json"
    )


def test_the_readme_shows_the_published_results():
    readme = publishing.README.read_text(encoding="utf-8")

    assert placed(readme, section(published())) == readme, (
        "run python -m benchmarks --publish --from-results docs/benchmarks.json"
    )


def test_every_chart_of_the_published_page_is_there():
    shown = re.findall(r"\]\((benchmarks/\w+\.png)\)", page(published()))

    there = {str(p.relative_to(ROOT / "docs")) for p in (ROOT / "docs/benchmarks").glob("*.png")}
    assert set(shown) == there


def test_names_of_figures_workloads_and_servers_are_unique():
    for names in (
        [figure.name for workload in WORKLOADS for figure in workload.figures],
        [workload.name for workload in WORKLOADS],
        [server.name for server in SERVERS],
    ):
        assert len(set(names)) == len(names)


def test_every_figure_begins_with_the_name_of_its_workload():
    for workload in WORKLOADS:
        assert {f.name.partition("-")[0] for f in workload.figures} == {workload.name}
