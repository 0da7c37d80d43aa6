"""`python -m benchmarks`: measure, print the page, and keep the results."""

from __future__ import annotations

import datetime
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from benchmarks.closed_loop import choose_client
from benchmarks.environments import MODEL, Installed, install, train
from benchmarks.errors import BenchmarkError, InstallError, MeasureError
from benchmarks.machine import Cores, describe_machine, load_average, pinned
from benchmarks.options import Options, parse
from benchmarks.publishing import keep, publish, read
from benchmarks.report import page
from benchmarks.results import Circumstances, Results
from benchmarks.rounds import carry_out, plan
from benchmarks.running import RunningServer
from benchmarks.servers import Kind
from benchmarks.workloads import FIGURES, Bench


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; 0 when there are results, 1 when something stood in the way."""
    options = parse(arguments)
    try:
        if options.from_results is not None:
            results = read(options.from_results)
        else:
            results = measure(options)
            keep(results)
        written = publish(results) if options.publish else []
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(page(results))
    for path in written:
        _say(f"Wrote {path}")
    return 0


def measure(options: Options) -> Results:
    """Install, measure and collect.

    Raises:
        BenchmarkError: There will be no results.
    """
    load_before = load_average()
    client, cores, profile = choose_client(), Cores.of_this_machine(), options.profile
    installed = _installed(options)
    servers = [server for server in options.servers if server.name in installed]
    versions = {server.name: installed[server.name].versions() for server in servers}
    bench = Bench(
        client, cores, profile.seconds, profile.warm_up_s, profile.overload_s, options.seed
    )
    trials = plan(options.workloads, servers, profile.repeats, options.seed)
    with pinned(cores.client):
        _warm_up(installed, cores)
        findings = carry_out(trials, installed, bench, _say)
    return Results(
        Circumstances(
            date=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
            command=options.words,
            machine=describe_machine(),
            client=client.name,
            cores=_cores_sentence(cores),
            load_before=round(load_before, 2),
            load_after=round(load_average(), 2),
            rounds=profile.repeats,
            seconds=profile.seconds,
            warm_up_s=profile.warm_up_s,
            overload_s=profile.overload_s,
            seed=options.seed,
        ),
        versions,
        findings.in_order(list(FIGURES), [server.name for server in servers]),
        list(findings.failures.values()),
    )


def _installed(options: Options) -> dict[str, Installed]:
    """Servers that can be started; one that cannot be installed is left out with a word."""
    folders: dict[str, Path] = dict(options.venvs)
    broken: set[str] = set()
    for server in options.servers:
        name = server.environment
        if name in folders or name in broken:
            continue
        _say(f"Installing `{name}`")
        try:
            folders[name] = install(name)
        except InstallError as error:
            _say(f"  left out: {error}")
            broken.add(name)
    if not folders:
        raise InstallError("no server under test could be installed")
    if not MODEL.exists():
        MODEL.parent.mkdir(exist_ok=True)
        train(next(iter(folders.values())))
    return {
        server.name: Installed(server, folders[server.environment] / "bin")
        for server in options.servers
        if server.environment in folders
    }


def _warm_up(installed: dict[str, Installed], cores: Cores) -> None:
    """Start everything once, so that no sample pays for reading files from disk."""
    for name, server in installed.items():
        _say(f"Starting {name} once")
        try:
            with RunningServer(server, Kind.NO_OP, cores.server) as running:
                running.wait_for_answer()
                running.kill()
        except MeasureError as error:
            _say(f"  {error}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _cores_sentence(cores: Cores) -> str:
    if cores.server is None:
        return "Processes cannot be pinned to cores here: server and client shared all of them."
    if cores.server == cores.client:
        return f"Server and client shared core {cores.server}, the only one there is."
    return f"Server pinned to core {cores.server}, client to core {cores.client}."


def _leave(number: int, frame: object) -> NoReturn:
    sys.exit(128 + number)


if __name__ == "__main__":
    # As Ctrl-C does, so that no server is left behind.
    signal.signal(signal.SIGTERM, _leave)
    sys.exit(main())
