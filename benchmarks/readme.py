"""The part of the README that speaks of speed: a pure function of results, between two marks."""

from __future__ import annotations

from benchmarks.errors import ResultsError
from benchmarks.losses import Loss, losses
from benchmarks.results import Results
from benchmarks.servers import SERVERS
from benchmarks.targets import grouped_table, judge_all
from benchmarks.workloads import FIGURES

BEGIN = "<!-- speed: written by python -m benchmarks --publish -->"
END = "<!-- end of speed -->"


def section(results: Results) -> str:
    """Targets, the command, and what we lose, in few lines."""
    made = results.circumstances
    found = losses(list(FIGURES.values()), SERVERS, results.summaries)
    return "\n".join([
        *grouped_table(judge_all(results.summaries)),
        "",
        f"Made by `{made.command}` on {made.date}, one core for the server and one for the client.",
        f"{_losses_sentence(found)} [docs/benchmarks.md](docs/benchmarks.md) has all figures.",
    ])  # fmt: skip


def _losses_sentence(found: list[Loss]) -> str:
    certain = [loss for loss in found if loss.is_certain]
    if not certain:
        return "In that run no peer was clearly better than us at anything."
    by_workload: dict[str, list[str]] = {}
    for loss in certain:
        winners = by_workload.setdefault(loss.figure.name.partition("-")[0], [])
        if loss.server.title not in winners:
            winners.append(loss.server.title)
    words = "; ".join(f"{name}: {', '.join(who)}" for name, who in by_workload.items())
    return f"We lose to a peer, with one of our engines at least, in {words}."


def placed(readme: str, text: str) -> str:
    """The README with a new part between its marks.

    Raises:
        ResultsError: It has no marks.
    """
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ResultsError(f"the README has no `{BEGIN}` with `{END}` behind it")
    return f"{head}{begin}\n{text}\n{end}{tail}"
