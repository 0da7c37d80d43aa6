"""The command line."""

from __future__ import annotations

import argparse
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import SERVERS, Server
from benchmarks.workloads import WORKLOADS, Workload


@dataclass(frozen=True)
class Profile:
    """How long and how often things are measured."""

    repeats: int
    seconds: int
    warm_up_s: int
    overload_s: int


FULL = Profile(repeats=5, seconds=10, warm_up_s=3, overload_s=30)
QUICK = Profile(repeats=3, seconds=2, warm_up_s=1, overload_s=9)


@dataclass(frozen=True)
class Options:
    """What was asked for.

    Attributes:
        profile: Durations and repeats.
        workloads: Those to do.
        servers: Those to do them to.
        seed: Of order and arrivals.
        venvs: Environments that are there already, by name.
        from_results: Results to show instead of measuring.
        publish: Whether to write page, charts and README.
        words: The command without the places of this machine, to be printed.
    """

    profile: Profile
    workloads: Sequence[Workload]
    servers: Sequence[Server]
    seed: int
    venvs: dict[str, Path]
    from_results: Path | None
    publish: bool
    words: str


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; a mistake ends the program as argparse does."""
    given = _parser().parse_args(arguments)
    usual = QUICK if given.quick else FULL
    profile = Profile(
        given.repeats or usual.repeats,
        given.seconds or usual.seconds,
        min(usual.warm_up_s, given.seconds or usual.warm_up_s),
        given.overload_seconds or usual.overload_s,
    )
    only: list[Workload] = given.only or list(WORKLOADS)
    servers: list[Server] = given.servers or list(SERVERS)
    return Options(
        profile=profile,
        workloads=[workload for workload in WORKLOADS if workload in only],
        servers=[server for server in SERVERS if server in servers],
        seed=given.seed,
        venvs=dict(given.venv),
        from_results=given.from_results,
        publish=given.publish,
        words=_words(given),
    )


def _words(given: argparse.Namespace) -> str:
    numbers = {
        f"--{name.replace('_', '-')}": getattr(given, name)
        for name in ("repeats", "seconds", "overload_seconds")
    }
    lists = {
        f"--{name}": ",".join(value.name for value in getattr(given, name) or ())
        for name in ("only", "servers")
    }
    valued = [f"{option} {value}" for option, value in {**numbers, **lists}.items() if value]
    flags = [f"--{name}" for name in ("quick", "publish") if getattr(given, name)]
    return " ".join(["python -m benchmarks", *flags, *valued])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure this server beside others and print the page.",
        epilog="Every sample also goes to benchmarks/.results/latest.json.",
    )
    add = parser.add_argument
    add(
        "--quick",
        action="store_true",
        help=f"{QUICK.repeats} rounds of {QUICK.seconds} s instead of {FULL.repeats} of "
        f"{FULL.seconds} s; half an hour for everything",
    )
    add(
        "--only",
        type=_workloads,
        metavar="LIST",
        help=f"workloads, separated by commas: {', '.join(w.name for w in WORKLOADS)}",
    )
    add(
        "--servers",
        type=_servers,
        metavar="LIST",
        help=f"servers, separated by commas: {', '.join(s.name for s in SERVERS)}",
    )
    add("--repeats", type=_positive, metavar="N", help="rounds")
    add("--seconds", type=_positive, metavar="S", help="length of one measurement under load")
    add("--overload-seconds", type=_positive, metavar="S", help="length of the overload of P5")
    add(
        "--seed",
        type=int,
        default=1,
        metavar="N",
        help="of the shuffled order and of arrival times; default 1",
    )
    add(
        "--venv",
        type=_venv,
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="a virtual environment to use as it is; may be repeated",
    )
    add(
        "--from-results",
        type=Path,
        metavar="FILE",
        help="show results that were kept, and measure nothing",
    )
    add("--publish", action="store_true",
        help="write docs/benchmarks.md, its charts and JSON, and the README's part")  # fmt: skip
    return parser


def _workloads(text: str) -> list[Workload]:
    known = {workload.name: workload for workload in WORKLOADS}
    return [known[name] for name in _names(text, known)]


def _servers(text: str) -> list[Server]:
    known = {server.name: server for server in SERVERS}
    return [known[name] for name in _names(text, known)]


def _names(text: str, known: Container[str]) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"no `{name}`")
    return names


def _venv(text: str) -> tuple[str, Path]:
    name, separator, folder = text.partition("=")
    if not separator or name not in {server.environment for server in SERVERS}:
        raise argparse.ArgumentTypeError(f"expected NAME=FOLDER, not `{text}`")
    return name, Path(folder).absolute()


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of 1 or more, not `{text}`")
    return number
