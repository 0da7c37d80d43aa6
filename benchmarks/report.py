"""The page for people: a pure function of results."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.figures import WIDE, Figure, Summaries, Summary
from benchmarks.losses import losses, losses_table
from benchmarks.results import Failure, Results
from benchmarks.servers import SERVERS, Server
from benchmarks.targets import judge_all, targets_table
from benchmarks.workloads import FIGURES, WORKLOADS, Workload

CHARTS = "benchmarks"
"""Folder of the charts, beside the page."""

NOTES = (
    "Medians, with the range of the samples in parentheses where there is more than one.",
    "Every server runs with one worker process and its documented defaults; P1 also has a tuned "
    "profile.\n"
    "  What that means for each is in the list of servers above.",
    "The reference closes each connection behind its answer, so its client connects anew for each "
    "request; the others keep connections alive.\n"
    '  How much of the difference that makes, the lines "closed behind each answer" show.',
    "Our server and the reference log lines for every request, to files; uvicorn and BentoML log "
    "one, raw gunicorn and raw Granian none.",
    "Absolute figures are this machine's; ratios carry over better, since all samples of a round "
    "are taken within minutes of each other, in shuffled order.",
    "Each server's answer is checked before it is measured and, under closed-loop load, after it; "
    "a wrong one voids the sample.",
    "D4, the rebuild of an image, is left out: there are no images of ours to build yet.",
)


def page(results: Results) -> str:
    """All of it, as Markdown."""
    made = results.circumstances
    parts = [
        "# Benchmarks",
        "",
        f"Written by `{made.command}` on {made.date}; run it again rather than editing this page.",
        "",
        "## Targets",
        "",
        *targets_table(judge_all(results.summaries)),
        "",
        "Ratios of medians within this run.",
        "",
        *[line for workload in WORKLOADS for line in _part(workload, results)],
        "## Where we lose",
        "",
        "Every line in which a peer or the reference has a better median than one of our engines; "
        "the floors, which do less, are left out.",
        "",
        *losses_table(losses(list(FIGURES.values()), SERVERS, results.summaries)),
        "",
        *_failures(results.failures),
        "## Servers",
        "",
        *_servers(results),
        "",
        "## How it was measured",
        "",
        *_conditions(results),
        "",
        "## How to read it",
        "",
        *[f"- {note}" for note in [*NOTES, *noise_notes(results)]],
        "",
    ]
    return "\n".join(parts)


def _part(workload: Workload, results: Results) -> list[str]:
    figures = [f for f in workload.figures if f.name in results.samples]
    if not figures:
        return []
    lines = [f"## {workload.title}", "", workload.about, ""]
    if any(figure.in_chart for figure in figures):
        lines += [f"![{workload.title}]({CHARTS}/{workload.name}.png)", ""]
    return [*lines, *table(figures, SERVERS, results.summaries), "", *_explanations(figures)]


def table(figures: Sequence[Figure], servers: Sequence[Server], summaries: Summaries) -> list[str]:
    """Lines of a Markdown table: a row for each figure, a column for each server that has one."""
    shown = [s for s in servers if any((f.name, s.name) in summaries for f in figures)]
    rows = [["", *(s.title for s in shown)], ["---", *["---:"] * len(shown)]]
    for figure in figures:
        cells = [cell(figure, summaries.get((figure.name, server.name))) for server in shown]
        rows.append([figure.label, *cells])
    return ["| " + " | ".join(row) + " |" for row in rows]


def cell(figure: Figure, summary: Summary | None) -> str:
    """Median and range, as they stand in a table."""
    if summary is None:
        return "-"
    if summary.count == 1:
        return figure.text(summary.median)
    return (
        f"{figure.text(summary.median)} ({figure.text(summary.low)} to {figure.text(summary.high)})"
    )


def _explanations(figures: Sequence[Figure]) -> list[str]:
    lines = [f"- {figure.title}: {figure.how}." for figure in figures if figure.how]
    return [*lines, ""] if lines else []


def _failures(failures: Sequence[Failure]) -> list[str]:
    if not failures:
        return []
    titles = {server.name: server.title for server in SERVERS}
    lines = [
        f"- {f.workload} ({f.kind}) of {titles[f.server]}: {f.reason}"
        + (f" ({f.times} times)" if f.times > 1 else "")
        for f in failures
    ]
    return ["## What gave no figure", "", *lines, ""]


def _servers(results: Results) -> list[str]:
    return [
        f"- {server.title}: {server.note}\n"
        f"  {', '.join(f'{k} {v}' for k, v in results.versions[server.name].items())}."
        for server in SERVERS
        if server.name in results.versions
    ]


def _conditions(results: Results) -> list[str]:
    made = results.circumstances
    return [
        f"- Machine: {made.machine}; load average {made.load_before:.2f} before the run, "
        f"{made.load_after:.2f} at its end, its own load included.",
        f"- {made.cores}",
        f"- Closed loop: {made.client}, {made.seconds} s per measurement behind {made.warm_up_s} s "
        "of warm-up.",
        f"- Open loop: a client of Python's standard library; {made.overload_s} s of overload.",
        f"- Rounds: {made.rounds}, fewer for P3 to P5 and D1 to D5, each in shuffled order (seed "
        f"{made.seed}); a fresh server process for every sample.",
    ]


def noise_notes(results: Results) -> list[str]:
    """What there is to say of figures whose range is too wide to be trusted."""
    titles = {server.name: server.title for server in SERVERS}
    unsteady = [
        f"{figure.partition('-')[0]}: {FIGURES[figure].title} ({titles[server]})"
        for (figure, server), summary in results.summaries.items()
        if summary.is_wide
    ]
    if not unsteady:
        return []
    return [
        f"Samples lay more than {WIDE:.0%} of their median apart for these: the machine was busy "
        f"with something else, or the figure is unsteady.\n  {'; '.join(unsteady)}."
    ]
