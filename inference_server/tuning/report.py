"""The table and the recommendation, as text and for machines."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from inference_server.tuning.choice import Choice
from inference_server.tuning.trials import Trial


def render_table(trials: Sequence[Trial], chosen: Trial | None = None) -> str:
    """One line for each trial, the chosen one marked."""
    batches = any(trial.setup.batch for trial in trials)
    head = ["workers", "concurrent", *(["batch"] if batches else []), "clients"]
    head += ["requests/s", "p50 ms", "p99 ms", "memory MiB", "failures"]
    rows = [head]
    ordered = sorted(trials, key=lambda trial: (trial.setup, trial.clients))
    rows += [_row(trial, with_batch=batches) for trial in ordered]
    widths = [max(len(row[n]) for row in rows) for n in range(len(head))]
    marks = ["", *("  <- recommended" if trial is chosen else "" for trial in ordered)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) + mark
        for row, mark in zip(rows, marks, strict=True)
    )


def _row(trial: Trial, *, with_batch: bool) -> list[str]:
    setup, load = trial.setup, trial.load
    return [
        str(setup.workers),
        str(setup.places),
        *([str(setup.batch)] if with_batch else []),
        str(trial.clients),
        f"{load.per_second:.1f}",
        f"{load.p50_ms:.1f}",
        f"{load.p99_ms:.1f}",
        "-" if trial.memory_mib is None else f"{trial.memory_mib:.0f}",
        str(load.failures),
    ]


def command_for(choice: Choice, options: Sequence[str]) -> str:
    """The command line that serves with the recommended settings."""
    return shlex.join(["azmlinfsrv", *options, *choice.trial.setup.options()])


def render_recommendation(choice: Choice, options: Sequence[str]) -> str:
    """The command to use, and why."""
    load, clients = choice.trial.load, choice.trial.clients
    noun = "client" if clients == 1 else "clients"
    return (
        f"Recommended: {choice.reason}\n"
        f"  {load.per_second:.1f} requests/s, p99 {load.p99_ms:.1f} ms with {clients} {noun}\n\n"
        f"  {command_for(choice, options)}"
    )


def as_json(
    trials: Sequence[Trial], choice: Choice | None, options: Sequence[str], *, complete: bool
) -> dict[str, Any]:
    """All figures and the recommendation in one object."""
    recommendation = None
    if choice is not None:
        recommendation = {
            **choice.trial.as_json(),
            "reason": choice.reason,
            "command": command_for(choice, options),
        }
    return {
        "complete": complete,
        "trials": [trial.as_json() for trial in trials],
        "recommendation": recommendation,
    }
