"""Whoever beats us is named, whether we like it or not."""

from __future__ import annotations

from benchmarks.losses import losses, losses_table
from benchmarks.servers import SERVERS
from benchmarks.workloads import FIGURES
from tests.benchmarks.canned import results

RATE = FIGURES["P0-rate-32"]
SLOWEST = FIGURES["P0-p99-32"]


def found(samples):
    return losses([RATE, SLOWEST], SERVERS, results(samples).summaries)


def test_a_peer_with_a_better_median_is_a_loss():
    (loss,) = found({"P0-rate-32": {"azml": [10.0], "azml-granian": [30.0], "fastapi": [20.0]}})

    assert loss.server.name == "fastapi"
    assert [server.name for server, _ in loss.ours] == ["azml"]
    assert (loss.others, loss.is_certain) == (0, True)


def test_the_reference_can_beat_us_too_and_less_can_be_better():
    (loss,) = found({"P0-p99-32": {"azml": [10.0], "reference": [9.0]}})

    assert (loss.figure, loss.server.name) == (SLOWEST, "reference")


def test_the_best_of_several_is_named_and_the_others_counted():
    samples = {"P0-rate-32": {"azml": [10.0], "fastapi": [20.0], "litserve": [25.0]}}

    (loss,) = found(samples)

    assert (loss.server.name, loss.others) == ("litserve", 1)


def test_ranges_that_overlap_are_pointed_out():
    samples = {"P0-rate-32": {"azml": [10.0, 21.0, 10.0], "fastapi": [20.0, 20.0]}}

    (loss,) = found(samples)

    assert not loss.is_certain
    assert losses_table([loss])[-1] == (
        "| P0: Served at 32 connections (requests per second) | FastAPI `def` | 20 "
        "| azml: 10 | ranges overlap |"
    )


def test_floors_are_no_peers_and_equals_do_not_win():
    samples = {"P0-rate-32": {"azml": [10.0], "granian": [99.0], "fastapi": [10.0]}}

    assert found(samples) == []
    assert losses_table([]) == ["Nowhere in this run."]


def test_what_we_did_not_measure_cannot_be_lost():
    assert found({"P0-rate-32": {"fastapi": [10.0]}}) == []
