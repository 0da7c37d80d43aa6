"""Targets are judged by medians, against the best of those they name."""

from __future__ import annotations

import pytest

from benchmarks.targets import TARGETS, Target, Verdict, judge_all, targets_table
from benchmarks.workloads import FIGURES
from tests.benchmarks.canned import results


def judged(
    target: Target, samples: dict[str, dict[str, list[float]]]
) -> tuple[float | None, Verdict]:
    judgement = target.judge(results(samples).summaries)
    return judgement.value, judgement.verdict


RATE = Target("Rate", "P0-rate-32", ("azml",), 2.0, ("reference",), "the reference")
TIME = Target("Start", "D1-start", ("azml",), 0.6, ("reference",), "the reference")
SHARE = Target("Batches", "P2-share-16", ("azml", "azml-granian"), 85.0)


@pytest.mark.parametrize(
    ("target", "ours", "theirs", "value", "verdict"),
    [
        pytest.param(RATE, 200.0, 100.0, 2.0, Verdict.MET, id="exactly enough"),
        pytest.param(RATE, 199.0, 100.0, 1.99, Verdict.MISSED, id="too little"),
        pytest.param(TIME, 60.0, 100.0, 0.6, Verdict.MET, id="exactly quick enough"),
        pytest.param(TIME, 61.0, 100.0, 0.61, Verdict.MISSED, id="too slow"),
    ],
)
def test_a_ratio_is_judged(target, ours, theirs, value, verdict):
    samples = {target.figure: {"azml": [ours], "reference": [theirs]}}

    measured, judgement = judged(target, samples)
    assert measured == pytest.approx(value)
    assert judgement is verdict


def test_the_best_of_ours_counts_where_nobody_is_compared_with():
    samples = {"P2-share-16": {"azml": [70.0], "azml-granian": [90.0], "mlserver": [99.0]}}

    assert judged(SHARE, samples) == (90.0, Verdict.MET)


def test_the_best_of_the_others_is_compared_with():
    target = Target("Rate", "P0-rate-32", ("azml",), 0.6, ("granian", "granian-1"), "raw Granian")
    samples = {"P0-rate-32": {"azml": [60.0], "granian": [80.0], "granian-1": [120.0]}}

    assert judged(target, samples) == (0.5, Verdict.MISSED)


@pytest.mark.parametrize("missing", ["azml", "reference"])
def test_a_target_is_not_judged_without_both_sides(missing):
    samples = {"P0-rate-32": {"azml": [60.0], "reference": [80.0]}}
    del samples["P0-rate-32"][missing]

    assert judged(RATE, samples) == (None, Verdict.UNKNOWN)


def test_the_table_says_promise_measure_and_verdict():
    lines = targets_table(judge_all(results().summaries))

    assert (
        "| No-op, 32 connections, Granian engine | ≥ 15 x the reference | 20.00 x | met |" in lines
    )
    assert (
        "| No-op, 32 connections, Granian engine | ≥ 0.6 x raw Granian | 0.50 x | **missed** |"
        in lines
    )
    assert "| Batches of 16, 64 connections, our better engine | ≥ 85 % | 91.2 % | met |" in lines
    assert "| Command to first answer | ≤ 0.6 x the reference | 0.41 x | met |" in lines
    assert "| Memory of the largest process | ≤ 1 x the reference | - | not measured |" in lines


def test_a_missed_target_says_why():
    why = Target("Rate", "P0-rate-32", ("azml",), 9.0, ("reference",), "it", "because")
    summaries = results({"P0-rate-32": {"azml": [1.0], "reference": [1.0]}}).summaries

    assert targets_table([why.judge(summaries)])[-1] == "- Rate, ≥ 9 x it: because"


def test_targets_name_figures_that_are_measured():
    assert {target.figure for target in TARGETS} <= FIGURES.keys()
