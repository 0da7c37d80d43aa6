"""Some refusals get a line, all are counted."""

from __future__ import annotations

from inference_server.refusal_lines import MAX_PER_SECOND, RefusalLines
from tests.servers import poll


def test_all_refusals_are_either_listed_or_counted():
    lines = RefusalLines()

    listed = sum(lines.takes() for _ in range(10 * MAX_PER_SECOND))
    summary = poll(lines.take_summary, timeout=5)

    counted = int(summary.partition(" more requests were answered 429")[0])
    assert listed + counted == 10 * MAX_PER_SECOND
    assert MAX_PER_SECOND <= listed < 3 * MAX_PER_SECOND
    assert lines.take_summary() is None


def test_a_few_refusals_are_all_listed():
    lines = RefusalLines()

    assert all(lines.takes() for _ in range(MAX_PER_SECOND))
    assert lines.take_summary() is None
