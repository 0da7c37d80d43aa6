"""Results as JSON and as a Markdown page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from benchmarks.figures import WIDE, Figure, Sample, Summary, summarise


@dataclass(frozen=True)
class Circumstances:
    """Under what conditions a run was made.

    Attributes:
        date: Day of the run.
        command: How to repeat it.
        machine: Processor, cores, memory, kernel.
        client: What made the load.
        cores: Where server and client ran, as a sentence.
        load_before: Load average of the last minute before the run.
        load_after: The same at its end, the run's own load included.
        rounds: Samples of most figures.
        seconds: Length of one measurement under load.
        warm_up_s: Length of the load before it.
        seed: Of the shuffled order.
        versions: By server, then by distribution.
    """

    date: str
    command: str
    machine: str
    client: str
    cores: str
    load_before: float
    load_after: float
    rounds: int
    seconds: int
    warm_up_s: int
    seed: int
    versions: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Columns:
    """Whose figures the table shows.

    Attributes:
        titles: Head of the column by server, in order.
        ours: The server that is judged.
        reference: The one it is judged by.
    """

    titles: Mapping[str, str]
    ours: str
    reference: str


@dataclass(frozen=True)
class Results:
    """Everything a run has found out."""

    circumstances: Circumstances
    figures: Sequence[Figure]
    columns: Columns
    samples: Sequence[Sample]

    def as_json(self) -> str:
        """The results with every sample, for programs."""
        summaries = [
            {"figure": figure, "server": server, **asdict(summary)}
            for (figure, server), summary in summarise(self.samples).items()
        ]
        document = {
            "circumstances": asdict(self.circumstances),
            "summaries": summaries,
            "samples": [asdict(sample) for sample in self.samples],
        }
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"

    def as_markdown(self) -> str:
        """The page for people."""
        return "\n".join([
            "# Benchmarks",
            "",
            f"Written by `{self.circumstances.command}` on {self.circumstances.date}; "
            "run it again rather than editing this page.",
            "",
            *table(self.figures, self.columns, self.samples),
            "",
            "Median, and range in parentheses; ratio is the first column's median to the second's.",
            "",
            *_conditions(self.circumstances, self.columns),
            "",
            "## What was measured",
            "",
            *_explanations(self.figures),
            "",
            "## How to read it",
            "",
            *[f"- {note}" for note in [*_NOTES, *noise_notes(self)]],
            "",
        ])  # fmt: skip


_NOTES = (
    "Every server runs with its defaults and one worker process.\n"
    "  The reference's worker closes each connection behind its answer, so its client connects "
    "anew for each request; the other two keep connections alive.\n"
    '  How much of the difference that makes, the lines "closed behind each answer" show: there '
    "every client asks for a new connection each time.",
    "Every client sends the same header again and again, as most that keep a connection do; our "
    "server parses it once per connection.",
    "azml and the reference log two lines for every request, to files; raw gunicorn logs none.",
    "`run()` does nothing here: the figures say what the server adds to a request.\n"
    "  Next to a model that takes 10 ms for its answer, what any of the three adds is small.",
    "Raw gunicorn is a WSGI application of a few lines with the same answer, under gunicorn's "
    "`gthread` worker with 16 threads: no scoring script, ids, queue, deadline or log.\n"
    "  It is there for orientation.",
    "PSS divides pages that the worker shares with its master; RSS counts them in both.\n"
    "  A server that imports before it forks therefore looks better in PSS, rightly so.",
    "Absolute figures are this machine's; ratios carry over better, since all samples of a round "
    "are taken within minutes of each other.",
)


def table(figures: Sequence[Figure], columns: Columns, samples: Sequence[Sample]) -> list[str]:
    """The lines of a Markdown table; figures without samples are left out."""
    summaries = summarise(samples)
    shown = [f for f in figures if any((f.name, server) in summaries for server in columns.titles)]
    rows = [
        ["", *columns.titles.values(), "ratio", "target", ""],
        ["---", *["---:"] * (len(columns.titles) + 2), "---"],
    ]
    for figure in shown:
        cells = [
            _cell(summaries.get((figure.name, server)), figure.digits) for server in columns.titles
        ]
        ours = summaries.get((figure.name, columns.ours))
        reference = summaries.get((figure.name, columns.reference))
        rows.append([f"{figure.title} ({figure.unit})", *cells, *_judged(figure, ours, reference)])
    return ["| " + " | ".join(row) + " |" for row in rows]


def _cell(summary: Summary | None, digits: int) -> str:
    if summary is None:
        return "-"
    median, low, high = (
        f"{value:,.{digits}f}" for value in (summary.median, summary.low, summary.high)
    )
    return f"{median} ({low} to {high})"


def _judged(figure: Figure, ours: Summary | None, reference: Summary | None) -> list[str]:
    target = str(figure.target) if figure.target else ""
    if ours is None or reference is None or not reference.median:
        return ["-", target, ""]
    ratio = ours.ratio_to(reference)
    verdict = figure.target.verdict(ratio).value if figure.target else ""
    return [f"{ratio:.2f} x", target, verdict]


def noise_notes(results: Results) -> list[str]:
    """What there is to say of figures whose range is too wide to be trusted."""
    summaries = summarise(results.samples)
    unsteady = [
        f"{figure.title} ({title})"
        for figure in results.figures
        for server, title in results.columns.titles.items()
        if (figure.name, server) in summaries and summaries[figure.name, server].is_wide
    ]
    if not unsteady:
        return []
    return [
        f"Samples lay more than {WIDE:.0%} of their median apart for these: the machine was busy "
        f"with something else, or the figure is unsteady.\n  {'; '.join(unsteady)}."
    ]


def _explanations(figures: Sequence[Figure]) -> list[str]:
    """How figures are measured; those with a common topic share a line."""
    explanations = {figure.topic or figure.title: figure.how for figure in figures}
    return [f"- {topic}: {how}." for topic, how in explanations.items()]


def _conditions(made: Circumstances, columns: Columns) -> list[str]:
    versions = [
        f"  - {title}: " + ", ".join(f"{k} {v}" for k, v in made.versions[server].items())
        for server, title in columns.titles.items()
        if server in made.versions
    ]
    return [
        f"- Machine: {made.machine}; load average {made.load_before:.2f} before the run, "
        f"{made.load_after:.2f} at its end, its own load included.",
        f"- {made.cores}",
        f"- Client: {made.client}, {made.seconds} s per measurement behind {made.warm_up_s} s of "
        "warm-up.",
        f"- Rounds: {made.rounds}, each in shuffled order (seed {made.seed}); "
        "a fresh server process for every sample.",
        "- Versions:",
        *versions,
    ]
