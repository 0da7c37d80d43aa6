"""The command line of `azmlinfsrv tune`, and what it refers to."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from inference_server.settings import TABLE
from inference_server.tuning.errors import TuneError

_SWEPT = {
    "worker_count": "workers", "max_concurrent_requests": "places", "batch_max_size": "batch",
}  # fmt: skip
"""Options of the server that are swept, unless the user sets them."""


@dataclass(frozen=True)
class TuneOptions:
    """What the user asked for.

    Attributes:
        pinned: Fields of a setup that the user has set.
        passed_on: Every other option, for the servers.
    """

    request_file: Path
    entry_script: Path
    content_type: str
    budget_s: float
    target_p99_ms: float | None
    batch: bool
    plot: Path
    json_file: Path | None
    as_json: bool
    pinned: Mapping[str, int]
    passed_on: tuple[str, ...]


def parse(arguments: Sequence[str]) -> TuneOptions:
    """Read the command line; ends the process with 2 when it is wrong, as argparse does."""
    parser = _parser()
    spelled = [_underscored(argument) for argument in arguments]
    options, rest = parser.parse_known_args(spelled)
    pinned = {
        _SWEPT[name]: getattr(options, name)
        for name in _SWEPT
        if getattr(options, name) is not None
    }
    if not any(row.name == "batch_max_size" for row in TABLE):
        if options.batch or options.batch_max_size is not None:
            parser.error("this version of the server has no --batch_max_size")
        pinned.pop("batch", None)
    return TuneOptions(
        request_file=options.request_file,
        entry_script=options.entry_script,
        content_type=options.content_type,
        budget_s=options.budget,
        target_p99_ms=options.target_p99_ms,
        batch=options.batch or "batch" in pinned,
        plot=options.plot,
        json_file=options.json,
        as_json=options.format == "json",
        pinned=pinned,
        passed_on=tuple(rest),
    )


def _underscored(argument: str) -> str:
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return f"--{name[2:].replace('-', '_')}{equals}{value}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="azmlinfsrv tune",
        description="Find the settings under which a scoring script answers most requests.",
        epilog="Every other option is passed on to the servers that are tried, such as --model_dir."
        " Settings given with --worker_count, --max_concurrent_requests or --batch_max_size are "
        "not swept. Hyphens work in place of underscores.",
        allow_abbrev=False,
    )
    script = os.environ.get("AZUREML_ENTRY_SCRIPT")
    add = partial(parser.add_argument, type=Path, metavar="FILE")
    add("--request_file", required=True, help="The body to send.")
    add("--entry_script", required=not script, default=script, help="The scoring script.")
    add(
        "--plot",
        default="azml-tune.png",
        help="Where the plot goes (default azml-tune.png); needs pip install azml[tune].",
    )
    add("--json", help="Write every figure to this file, too.")
    add = partial(parser.add_argument, type=_positive)
    add("--budget", default=60.0, metavar="S", help="Seconds the sweep may take (default 60).")
    add(
        "--target_p99_ms",
        metavar="MS",
        help="Only recommend settings whose 99th percentile is no longer.",
    )
    add = partial(parser.add_argument)
    add(
        "--content_type",
        default="application/json",
        metavar="TYPE",
        help="The body's type (default application/json); any other is sent as it is.",
    )
    add("--format", choices=("text", "json"), default="text", help="Shape of the output.")
    add("--batch", action="store_true", help="Sweep --batch_max_size though run() has no @batch.")
    for name in _SWEPT:
        add(f"--{name}", type=_count, metavar="N", help="Keep this setting as it is.")
    return parser


def _positive(raw: str) -> float:
    value = float(raw)
    if not 0 < value < float("inf"):
        raise ValueError
    return value


_positive.__name__ = "number above 0"


def _count(raw: str) -> int:
    value = int(raw)
    if value < 1:
        raise ValueError
    return value


_count.__name__ = "whole number from 1"


def check_request(path: Path, content_type: str) -> None:
    """Make sure that there is a body to send.

    Raises:
        TuneError: The file cannot be read, or is not the JSON that it should be.
    """
    try:
        body = path.read_bytes()
    except OSError as error:
        raise TuneError(f"--request_file {path}: {error.strerror}", 2) from None
    if "json" not in content_type:
        return
    try:
        json.loads(body)
    except json.JSONDecodeError as error:
        raise TuneError(
            f"{path}:{error.lineno}:{error.colno}: not JSON: {error.msg}; "
            "give --content_type for a body of another type", 2,
        ) from None  # fmt: skip
    except UnicodeDecodeError as error:
        raise TuneError(f"{path}: not JSON: byte {error.start} is not UTF-8", 2) from None
