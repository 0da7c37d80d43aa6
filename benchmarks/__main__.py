"""`python -m benchmarks`: measure, print the table, and keep the results."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.errors import BenchmarkError, MeasureError
from benchmarks.figures import Sample
from benchmarks.load import Client, choose_client
from benchmarks.machine import Cores, describe_machine, load_average, pinned
from benchmarks.report import Circumstances, Columns, Results
from benchmarks.servers import FOLDER, OURS, REFERENCE, SERVERS, Installed, install
from benchmarks.workloads import WORKLOADS, Bench, FirstAnswer, Help, Trial, plan

RESULTS = FOLDER / ".results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; 0 when there are results, 1 when something stood in the way."""
    options = _parser().parse_args(arguments)
    try:
        results = run(options)
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    page = results.as_markdown()
    print(page)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / ".gitignore").write_text("*\n")
    (RESULTS / "latest.json").write_text(results.as_json())
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(page)
    return 0


def run(options: argparse.Namespace) -> Results:
    """Install, measure and collect.

    Raises:
        BenchmarkError: There will be no results.
    """
    load_before = load_average()
    client, cores = choose_client(), Cores.of_this_machine()
    workloads = [w for w in WORKLOADS if not options.only or w.name in options.only]
    folders = {name: getattr(options, name) or _installed(name) for name in ("ours", "reference")}
    servers = {s.name: Installed(s, folders[s.venv].absolute() / "bin") for s in SERVERS}
    versions = {name: installed.versions() for name, installed in servers.items()}
    bench = Bench(client, cores, options.seconds)
    trials = plan(workloads, SERVERS, options.repeats, options.seed)
    with pinned(cores.client):
        _warm_up(servers.values(), bench)
        samples = _measure(trials, servers, bench)
    return Results(
        Circumstances(
            date=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
            command=_command(options),
            machine=describe_machine(),
            client=client.name,
            cores=_cores_sentence(cores, client),
            load_before=load_before,
            load_after=load_average(),
            rounds=options.repeats,
            seconds=bench.seconds,
            warm_up_s=bench.warm_up_s,
            seed=options.seed,
            versions=versions,
        ),
        [figure for workload in workloads for figure in workload.figures],
        Columns({s.name: s.title for s in SERVERS}, OURS.name, REFERENCE.name),
        samples,
    )


def _warm_up(servers: Iterable[Installed], bench: Bench) -> None:
    """Start everything once, so that no sample pays for reading files from disk."""
    for installed in servers:
        for workload in (FirstAnswer(), Help()):
            if workload.suits(installed.server):
                workload.measure(installed, bench)


def _measure(trials: Sequence[Trial], servers: dict[str, Installed], bench: Bench) -> list[Sample]:
    samples: list[Sample] = []
    for number, trial in enumerate(trials, 1):
        name = trial.server.name
        _say(f"[{number}/{len(trials)}] round {trial.round}: {trial.workload.name} of {name}")
        try:
            values = trial.workload.measure(servers[name], bench)
        except MeasureError as error:
            raise MeasureError(f"{trial.workload.name} of {trial.server.title}: {error}") from error
        samples += [Sample(figure, name, trial.round, value) for figure, value in values.items()]
    return samples


def _installed(venv: str) -> Path:
    _say(f"Installing `{venv}`")
    return install(venv)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _cores_sentence(cores: Cores, client: Client) -> str:
    if cores.server is None:
        return "Processes cannot be pinned to cores here: server and client shared all of them."
    if cores.server == cores.client:
        return f"Server and client shared core {cores.server}, the only one there is."
    return f"Server pinned to core {cores.server}, client to core {cores.client}."


def _command(options: argparse.Namespace) -> str:
    """The command that was given, without the places of this machine."""
    words = ["python -m benchmarks", f"--repeats {options.repeats}", f"--seconds {options.seconds}"]
    words += [f"--only {name}" for name in options.only]
    if options.output is not None:
        shown = options.output.name if options.output.is_absolute() else options.output
        words.append(f"--output {shown}")
    return " ".join(words)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure this server beside others and print the table.",
        epilog="Every sample also goes to benchmarks/.results/latest.json.",
    )
    add = parser.add_argument
    add("--repeats", type=_positive, default=5, metavar="N", help="rounds; default 5")
    add("--seconds", type=_positive, default=10, metavar="S", help="of measured load; default 10")
    names = [workload.name for workload in WORKLOADS]
    add("--only", action="append", default=[], choices=names, metavar="NAME",
        help=f"a workload, instead of all; may be repeated: {', '.join(names)}")  # fmt: skip
    add("--output", type=Path, metavar="FILE", help="write the page there too")
    add("--seed", type=int, default=1, metavar="N", help="of the shuffled order; default 1")
    add("--ours", type=Path, metavar="VENV", help="an environment that has this server installed")
    add("--reference", type=Path, metavar="VENV", help="one that has the reference installed")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of 1 or more, not {text}")
    return number


if __name__ == "__main__":
    sys.exit(main())
