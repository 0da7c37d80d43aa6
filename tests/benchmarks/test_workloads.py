"""What the workloads compute from what they see."""

from __future__ import annotations

import pytest

from benchmarks.offered import End, Outcome
from benchmarks.workloads.batching import ceiling
from benchmarks.workloads.error_quality import BUGS, Told, figures_of, names_place, without_banner
from benchmarks.workloads.overload import goodput_percent, patience_s
from benchmarks.workloads.reload import EDITS, failures
from benchmarks.workloads.sla import largest_rate
from tests.checkout import ROOT

KEY_ERROR, *_ = BUGS


def outcome(status: int = 200, end: End = End.ANSWERED, kind: str = "score") -> Outcome:
    return Outcome(kind, 0.0, 0.0, 0.1, end, status)


@pytest.mark.parametrize(("size", "per_second"), [(1, 99.5), (16, 1481.5), (64, 4848.5)])
def test_the_ceiling_is_a_device_that_never_waits(size, per_second):
    assert ceiling(size) == pytest.approx(per_second, abs=0.1)


def test_the_largest_rate_is_found_by_halving():
    tried: list[float] = []

    def holds(rate: float) -> bool:
        tried.append(rate)
        return rate <= 700

    assert largest_rate(holds, 0, 1000, 4) == pytest.approx(687.5)
    assert tried == [500, 750, 625, 687.5]


def test_no_rate_may_hold():
    assert largest_rate(lambda rate: False, 0, 1000, 3) == 0


def test_goodput_is_a_share_of_what_the_model_can_do():
    seen = [*[outcome()] * 30, outcome(429), outcome(kind="health"), outcome(0, End.TIMED_OUT)]

    assert goodput_percent(seen, 6.0) == pytest.approx(50)
    assert patience_s(30) == 10


def test_failures_are_what_was_not_served_and_not_cut_off():
    seen = [outcome(), outcome(503), outcome(0, End.BROKEN), outcome(0, End.CUT_OFF)]

    assert failures(seen) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('  File "/x/seeded_helper.py", line 5, in parse', True),
        ("seeded_helper.py:5 in parse", True),
        ('{"file": "/x/seeded_helper.py", "line": 5, "function"', True),
        ('  File "/x/seeded_helper.py", line 51, in parse', False),
        ("seeded_helper.py:4 in parse", False),
        ('  File "/x/seeded_key_error.py", line 5, in run', False),
    ],
)
def test_a_place_is_found_in_the_forms_that_are_in_use(text, expected):
    assert names_place(text, KEY_ERROR) is expected


def test_a_banner_is_no_part_of_the_log():
    lines = ["2026-01-02 03:04:05,678 I - here", "  more", "My server 1.0", "", "  Port: 1"]
    trace = ["Traceback (most recent call last):", '  File "a.py", line 1', "KeyError: 'a'"]

    assert without_banner([*lines, *trace]) == [*lines[:2], *trace]


def test_error_quality_is_counted_over_the_bugs():
    told = {bug: Told(bug is KEY_ERROR, bug.at_start, 10, failed=True, seconds=0.5) for bug in BUGS}

    assert figures_of(told) == {
        "D3-body": 20.0,
        "D3-log": 37.5,
        "D3-lines": 10,
        "D3-exit": 100.0,
        "D3-seconds": 0.5,
    }


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.script)
def test_bugs_are_seeded_where_they_are_said_to_be(bug):
    script = ROOT / "tests/scoring_scripts" / bug.file

    assert len(script.read_text(encoding="utf-8").splitlines()) >= bug.line


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks/peers").glob("*/loading.py")), ids=str)
def test_every_file_that_is_edited_has_the_lines_to_edit(path):
    source = path.read_text(encoding="utf-8")

    for edit in EDITS:
        assert source.count(edit.old) == 1
        source = source.replace(edit.old, edit.new)
