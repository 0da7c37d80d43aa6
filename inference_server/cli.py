"""`azmlinfsrv`: reads the command line into the environment, prints the banner, starts the engine.

The only module that knows argparse and exit codes: 0 done, 1 nothing to serve or the port is taken
(callers of the reference rely on 1 there), 2 a bad option, 3 the scoring script or a setting.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from inference_server import __version__
from inference_server.errors import START_FAILED, PortError, SettingsError
from inference_server.settings import TABLE, Setting, Settings, option_rows
from inference_server.settings_help import describe_option

log = logging.getLogger("azmlinfsrv")

NOTHING_TO_SERVE = 1
"""There is no script or no port; callers of the reference expect 1, not 2."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the server until it is told to stop; exits the process."""
    options = _parser().parse_args(
        _with_underscores(sys.argv[1:] if arguments is None else arguments)
    )
    _write_environment(options)
    # Nothing below is needed for --help and --version, and imports take time.
    from inference_server.config_file import load_settings
    from inference_server.log_config import configure_logging
    from inference_server.start_failures import describe_settings_error

    try:
        settings = load_settings(os.environ)
    except SettingsError as error:
        configure_logging(Settings())
        for record in describe_settings_error(error):
            log.critical("%s", record)
        sys.exit(START_FAILED)
    configure_logging(settings)
    if not settings.entry_script and not settings.config_file:
        log.error("Error!")
        log.error("Please provide the scoring script with --entry_script, or a --config_file.")
        sys.exit(NOTHING_TO_SERVE)
    settings = _announce(settings)
    _serve(settings)


def _announce(settings: Settings) -> Settings:
    from inference_server.banner import instrumentation_key_notes, render_banner
    from inference_server.config_file import load_settings

    if not settings.model_dir:
        print("The environment variable 'AZUREML_MODEL_DIR' has not been set.")
        print("Use the --model_dir command line argument to set it.")
    environ = dict(os.environ)
    for line in instrumentation_key_notes(environ):
        print(line)
    os.environ["AML_APP_INSIGHTS_ENABLED"] = environ["AML_APP_INSIGHTS_ENABLED"]
    settings = load_settings(os.environ)
    print(render_banner(os.environ, settings), flush=True)
    return settings


def _serve(settings: Settings) -> NoReturn:
    if sys.platform == "win32":
        log.error("There is no engine for Windows in this version: run the server in WSL.")
        sys.exit(NOTHING_TO_SERVE)
    from inference_server.ports import check_addresses

    try:
        check_addresses(settings)
    except PortError as error:
        log.error("%s\n  hint: %s", error, error.hint)
        sys.exit(NOTHING_TO_SERVE)
    from inference_server.gunicorn_engine.server import serve

    serve(settings)
    sys.exit(0)


def _with_underscores(arguments: Sequence[str]) -> list[str]:
    """Options in the spelling of the table: `--entry-script` is `--entry_script`."""
    return [_underscored(argument) for argument in arguments]


def _underscored(argument: str) -> str:
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return f"--{name[2:].replace('-', '_')}{equals}{value}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="azmlinfsrv",
        description="Serve an Azure ML scoring script (init() and run()) over HTTP.",
        epilog="Every option can also be set by its environment variable, in brackets above, or in "
        "the config file under that name. Options win over the environment, that over the file. "
        "Hyphens work in place of underscores.",
    )
    parser.add_argument("--version", action="version", version=f"azmlinfsrv {__version__}")
    for row in TABLE:
        if row.on_command_line:
            _add_option(parser, row)
    return parser


def _add_option(parser: argparse.ArgumentParser, row: Setting) -> None:
    name = f"--{row.name}"
    if not row.help:
        parser.add_argument(name, action="store_true", default=None, help=argparse.SUPPRESS)
    elif row.flag:
        parser.add_argument(name, action="store_true", default=None, help=_escaped(row))
    else:
        parser.add_argument(name, type=_checked(row), metavar=row.metavar, help=_escaped(row))


def _escaped(row: Setting) -> str:
    return describe_option(row).replace("%", "%%")


def _checked(row: Setting) -> Callable[[str], str]:
    def check(raw: str) -> str:
        try:
            row.parse(raw)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{raw!r}: {error}") from None
        return raw

    return check


def _write_environment(options: argparse.Namespace) -> None:
    """Set the variables that scoring scripts and worker processes read."""
    environ = os.environ
    for row in option_rows():
        value = getattr(options, row.name)
        if value is not None:
            environ[row.variable] = "true" if row.flag else str(value)
        elif not row.reads_environment:
            environ[row.variable] = str(row.default)
    for name in ("entry_script", "config_file"):
        path = getattr(options, name)
        if path is not None:
            environ[f"AZUREML_{name.upper()}"] = os.path.realpath(path)
    environ.setdefault("AML_APP_ROOT", os.getcwd())  # noqa: PTH109 - a string is wanted
    environ.setdefault("WORKER_COUNT", "1")
    environ["TRANSPORT_PROTOCOL"] = "rest" if options.rest else "grpc"
    if options.appinsights_instrumentation_key is not None:
        environ["AML_APP_INSIGHTS_ENABLED"] = "true"
    if environ.get("SEPERATE_HEALTH_ENDPOINT") == "true":
        environ["HEALTH_PORT"] = str(options.health_port or 5000)
    elif options.port is not None:
        environ["HEALTH_PORT"] = str(options.port)
    else:
        environ.setdefault("HEALTH_PORT", environ["SERVER_PORT"])
    shown = environ.get("SERVER_VERSION_LOG_RESPONSE_ENABLED", "true").lower() == "true"
    if shown:
        environ["HTTP_X_MS_SERVER_VERSION"] = f"azmlinfsrv/{__version__}"
