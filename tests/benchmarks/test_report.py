"""The arithmetic and the page of the benchmarks; no server runs here."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from benchmarks.figures import Figure, Sample, Summary, Target, Verdict, summarise
from benchmarks.report import Circumstances, Columns, Results, noise_notes, table
from benchmarks.servers import FLOOR, OURS, REFERENCE, SERVERS
from benchmarks.workloads import WORKLOADS, FirstAnswer, Help, Throughput, plan

RATE = Figure("rate", "Rate", "per second", "counted", Target(3.0, at_least=True))
HELP = Figure("help", "Help", "ms", "timed", digits=1)
COLUMNS = Columns({"us": "azml", "them": "other"}, ours="us", reference="them")


def samples_of(figure: str, server: str, *values: float) -> list[Sample]:
    return [Sample(figure, server, number, value) for number, value in enumerate(values, 1)]


def results_of(*samples: Sample) -> Results:
    circumstances = Circumstances(
        date="2026-01-02",
        command="python -m benchmarks --repeats 3",
        machine="A processor, 2 cores",
        client="wrk 4",
        cores="Server pinned to core 0, client to core 1.",
        load_before=0.126,
        load_after=1.5,
        rounds=3,
        seconds=10,
        warm_up_s=3,
        seed=1,
        versions={"us": {"python": "3.11.7", "azml": "1.0"}, "them": {"python": "3.11.7"}},
    )
    return Results(circumstances, [RATE, HELP], COLUMNS, samples)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([5.0], Summary(5.0, 5.0, 5.0, 1), id="one"),
        pytest.param([9.0, 1.0, 4.0], Summary(4.0, 1.0, 9.0, 3), id="odd number"),
        pytest.param([4.0, 1.0, 2.0, 9.0], Summary(3.0, 1.0, 9.0, 4), id="even number"),
    ],
)
def test_a_summary_is_median_and_range(values, expected):
    assert Summary.of(values) == expected


def test_a_summary_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="no samples"):
        Summary.of([])


def test_samples_are_summarised_by_figure_and_server():
    samples = [
        *samples_of("rate", "us", 1.0, 3.0),
        *samples_of("rate", "them", 5.0),
        *samples_of("help", "us", 7.0),
    ]

    assert summarise(samples) == {
        ("rate", "us"): Summary(2.0, 1.0, 3.0, 2),
        ("rate", "them"): Summary(5.0, 5.0, 5.0, 1),
        ("help", "us"): Summary(7.0, 7.0, 7.0, 1),
    }


def test_the_ratio_is_that_of_the_medians():
    ours, reference = Summary.of([30.0, 90.0, 31.0]), Summary.of([10.0, 2.0, 12.0])

    assert ours.ratio_to(reference) == pytest.approx(3.1)


@pytest.mark.parametrize(
    ("target", "ratio", "verdict"),
    [
        pytest.param(Target(3.0, at_least=True), 3.0, Verdict.MET, id="exactly the least"),
        pytest.param(Target(3.0, at_least=True), 2.999, Verdict.MISSED, id="too little"),
        pytest.param(Target(0.8, at_least=False), 0.8, Verdict.MET, id="exactly the most"),
        pytest.param(Target(0.8, at_least=False), 0.801, Verdict.MISSED, id="too much"),
    ],
)
def test_a_target_judges_a_ratio(target, ratio, verdict):
    assert target.verdict(ratio) is verdict


def test_the_table_has_medians_ranges_ratio_target_and_verdict():
    samples = [*samples_of("rate", "us", 4000, 6500, 5000), *samples_of("rate", "them", 1000)]

    assert table([RATE], COLUMNS, samples) == [
        "|  | azml | other | ratio | target |  |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
        "| Rate (per second) | 5,000 (4,000 to 6,500) | 1,000 (1,000 to 1,000) "
        "| 5.00 x | ≥ 3 x | met |",
    ]


def test_a_missed_target_stands_out_in_the_table():
    samples = [*samples_of("rate", "us", 2990), *samples_of("rate", "them", 1000)]

    assert table([RATE], COLUMNS, samples)[-1].endswith("| 2.99 x | ≥ 3 x | **missed** |")


def test_a_server_without_a_figure_has_a_dash_and_no_ratio():
    lines = table([HELP], COLUMNS, samples_of("help", "us", 51.26))

    assert lines[-1] == "| Help (ms) | 51.3 (51.3 to 51.3) | - | - |  |  |"


def test_a_figure_that_was_not_measured_has_no_line():
    assert len(table([RATE, HELP], COLUMNS, samples_of("help", "us", 1.0))) == 3


def test_samples_that_lie_far_apart_are_pointed_out():
    results = results_of(
        *samples_of("rate", "us", 100, 120, 131), *samples_of("rate", "them", 100, 80, 115)
    )

    (note,) = noise_notes(results)

    assert note.endswith("\n  Rate (other).")


def test_samples_that_lie_close_together_need_no_note():
    assert noise_notes(results_of(*samples_of("rate", "us", 100, 120, 130))) == []


def test_figures_with_a_common_topic_are_explained_once():
    figures = [
        Figure(f"rate-{count}", f"Rate at {count}", "per second", "counted", topic="Rate")
        for count in (1, 32)
    ]
    results = results_of(*samples_of("rate-1", "us", 1.0), *samples_of("rate-32", "us", 2.0))

    page = replace(results, figures=figures).as_markdown()

    assert page.count("- Rate: counted.") == 1


def test_the_page_says_when_how_and_on_what_it_was_made():
    page = results_of(*samples_of("rate", "us", 5.0)).as_markdown()

    for expected in (
        "Written by `python -m benchmarks --repeats 3` on 2026-01-02",
        "- Machine: A processor, 2 cores; load average 0.13 before the run, 1.50 at its end",
        "- Client: wrk 4, 10 s per measurement behind 3 s of warm-up.",
        "- azml: python 3.11.7, azml 1.0",
        "- Rate: counted.",
    ):
        assert expected in page


def test_the_json_results_hold_every_sample():
    results = results_of(*samples_of("rate", "us", 4.0, 6.0))

    document = json.loads(results.as_json())

    assert document["samples"] == [
        {"figure": "rate", "server": "us", "round": 1, "value": 4.0},
        {"figure": "rate", "server": "us", "round": 2, "value": 6.0},
    ]
    assert document["summaries"] == [
        {"figure": "rate", "server": "us", "median": 5.0, "low": 4.0, "high": 6.0, "count": 2}
    ]
    assert document["circumstances"]["versions"]["us"]["azml"] == "1.0"


def test_a_plan_has_every_workload_on_every_server_it_suits_in_each_round():
    trials = plan([FirstAnswer(per_round=2), Help(per_round=1)], SERVERS, rounds=2, seed=1)

    for number in (1, 2):
        of_round = [(t.workload.name, t.server) for t in trials if t.round == number]
        assert sorted(of_round, key=str) == sorted(
            [*[("start", server) for server in SERVERS] * 2, ("help", OURS), ("help", REFERENCE)],
            key=str,
        )
    assert FLOOR not in [t.server for t in trials if t.workload.name == "help"]


def test_a_plan_is_shuffled_within_its_rounds_and_repeatable():
    workloads = [Throughput(connections) for connections in range(1, 9)]

    trials = plan(workloads, SERVERS, rounds=2, seed=7)

    assert trials == plan(workloads, SERVERS, rounds=2, seed=7)
    assert [trial.round for trial in trials] == [1] * 24 + [2] * 24
    orders = [[(t.workload.name, t.server.name) for t in trials[n : n + 24]] for n in (0, 24)]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


def test_names_of_figures_and_workloads_are_unique():
    figures = [figure.name for workload in WORKLOADS for figure in workload.figures]
    names = [workload.name for workload in WORKLOADS]

    assert len(set(figures)) == len(figures)
    assert len(set(names)) == len(names)
