"""`azmlinfsrv tune`: reads the command line, sweeps, prints what came out."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from inference_server.tuning.choice import choose
from inference_server.tuning.errors import TuneError
from inference_server.tuning.options import TuneOptions, check_request, parse
from inference_server.tuning.plot import draw
from inference_server.tuning.report import as_json, render_recommendation, render_table
from inference_server.tuning.sweep import Sweep
from inference_server.tuning.trials import Trial

INTERRUPTED = 130
"""As a shell reports a command that Ctrl-C ended."""


def main(arguments: Sequence[str]) -> int:
    """Tune, and return the exit code.

    0 done; 1 requests fail; 2 a bad option or request file; 3 the server does not start.
    """
    options = parse(arguments)
    # Whoever stops us with SIGTERM wants no server left behind either.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        check_request(options.request_file, options.content_type)
        sweep = Sweep(options, _show_progress)
    except TuneError as error:
        return _fail(error)
    try:
        sweep.run()
    except KeyboardInterrupt:
        _say("interrupted; this is what was measured so far")
        _report(sweep, options, complete=False)
        return INTERRUPTED
    except TuneError as error:
        if not sweep.trials:
            return _fail(error)
        # Some setup was too much for the script; the others still tell which one to use.
        _say(f"stopped early: {error}")
    return _report(sweep, options, complete=True)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _fail(error: TuneError) -> int:
    _say(str(error))
    return error.exit_code


def _say(text: str) -> None:
    sys.stderr.write(f"azmlinfsrv tune: {text}\n")


def _show_progress(trial: Trial) -> None:
    if sys.stderr.isatty():
        setup, load = trial.setup, trial.load
        batch = f", batch {setup.batch}" if setup.batch else ""
        _say(
            f"workers {setup.workers}, concurrent {setup.places}{batch}, clients {trial.clients}: "
            f"{load.per_second:.1f} requests/s, p99 {load.p99_ms:.1f} ms"
        )


def _report(sweep: Sweep, options: TuneOptions, *, complete: bool) -> int:
    trials = sweep.trials
    choice = choose(trials, options.target_p99_ms)
    figures = json.dumps(as_json(trials, choice, sweep.server_options, complete=complete), indent=2)
    if options.as_json:
        sys.stdout.write(figures + "\n")
    elif trials:
        chosen = choice.trial if choice else None
        sys.stdout.write(render_table(trials, chosen) + "\n\n")
        if choice is not None:
            sys.stdout.write(render_recommendation(choice, sweep.server_options) + "\n")
    sys.stdout.flush()
    code = 0 if choice is not None else 1
    if choice is None and complete:
        _say("no recommendation: requests failed under every setting")
    if options.json_file is not None:
        code = max(code, _write(options.json_file, figures))
    if trials:
        try:
            draw(trials, choice.trial if choice else None, options.plot)
            _say(f"the plot is in {options.plot}")
        except TuneError as error:
            _say(str(error))
    return code


def _write(path: Path, text: str) -> int:
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        _say(f"--json {path}: {error.strerror}")
        return 1
    return 0
