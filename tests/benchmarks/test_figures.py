"""The arithmetic."""

from __future__ import annotations

import pytest

from benchmarks.figures import Better, Figure, Summary, percentile


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


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param([1, 3], [3, 5], True, id="touching"),
        pytest.param([1, 9], [3, 5], True, id="one within the other"),
        pytest.param([1, 2], [3, 5], False, id="apart"),
    ],
)
def test_ranges_overlap(one, other, expected):
    assert Summary.of(one).overlaps(Summary.of(other)) is expected
    assert Summary.of(other).overlaps(Summary.of(one)) is expected


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(0, 1), (1, 1), (50, 50), (99, 99), (99.5, 100), (100, 100)],
)
def test_a_percentile_is_one_of_the_values(percent, expected):
    assert percentile(list(range(100, 0, -1)), percent) == expected


def test_the_percentile_of_few_values_is_their_worst():
    assert percentile([3.0, 1.0], 99) == 3.0


def test_more_or_less_can_be_better():
    assert Better.MORE.wins(2, 1)
    assert Better.LESS.wins(1, 2)
    assert not Better.LESS.wins(1, 1)
    assert (Better.MORE.best([1, 2]), Better.LESS.best([1, 2])) == (2, 1)


def test_a_figure_prints_its_values_and_its_unit():
    assert Figure("x", "Rate", "per second").text(12345.6) == "12,346"
    assert Figure("x", "Rate", "per second").label == "Rate (per second)"
    assert Figure("x", "Count", "", digits=1).label == "Count"
