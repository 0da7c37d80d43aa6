"""Where we lose: computed from the results, so that nobody has to admit it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.figures import Figure, Summaries, Summary
from benchmarks.servers.base import Role, Server


@dataclass(frozen=True)
class Loss:
    """A figure in which somebody beats at least one of our engines.

    Attributes:
        figure: The figure.
        server: Who beats us; of several, the best.
        theirs: Its summary.
        ours: Summaries of our servers that lose.
        others: How many more beat the same engines.
    """

    figure: Figure
    server: Server
    theirs: Summary
    ours: tuple[tuple[Server, Summary], ...]
    others: int

    @property
    def is_certain(self) -> bool:
        """The ranges of the samples have nothing in common."""
        return all(not self.theirs.overlaps(summary) for _, summary in self.ours)


def losses(
    figures: Sequence[Figure], servers: Sequence[Server], summaries: Summaries
) -> list[Loss]:
    """Every figure in which a peer or the reference has the better median."""
    found = []
    for figure in figures:
        ours = _those(figure, servers, summaries, Role.OURS)
        theirs = _those(figure, servers, summaries, Role.PEER, Role.REFERENCE)
        wins = figure.better.wins
        winners = [
            (server, summary)
            for server, summary in theirs
            if any(wins(summary.median, mine.median) for _, mine in ours)
        ]
        if winners:
            best = figure.better.best(summary.median for _, summary in winners)
            server, summary = next(w for w in winners if w[1].median == best)
            losing = tuple(w for w in ours if wins(best, w[1].median))
            found.append(Loss(figure, server, summary, losing, len(winners) - 1))
    return found


def _those(
    figure: Figure, servers: Sequence[Server], summaries: Summaries, *roles: Role
) -> list[tuple[Server, Summary]]:
    return [
        (server, summaries[figure.name, server.name])
        for server in servers
        if server.role in roles and (figure.name, server.name) in summaries
    ]


def losses_table(found: Sequence[Loss]) -> list[str]:
    """Lines of a Markdown table."""
    if not found:
        return ["Nowhere in this run."]
    rows = ["|  | Best | Theirs | Ours |  |", "| --- | --- | ---: | --- | --- |"]
    for loss in found:
        more = f" and {loss.others} more" if loss.others else ""
        ours = "; ".join(f"{s.title}: {loss.figure.text(m.median)}" for s, m in loss.ours)
        certainty = "" if loss.is_certain else "ranges overlap"
        rows.append(
            f"| {_place(loss.figure)} | {loss.server.title}{more} "
            f"| {loss.figure.text(loss.theirs.median)} | {ours} | {certainty} |"
        )
    return rows


def _place(figure: Figure) -> str:
    return f"{figure.name.partition('-')[0]}: {figure.label}"
