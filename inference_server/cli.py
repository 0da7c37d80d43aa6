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
from inference_server.errors import START_FAILED, PortError, SettingProblem, SettingsError
from inference_server.settings import (
    DEFAULT_HEALTH_PORT,
    TABLE,
    Setting,
    Settings,
    option_rows,
    read_settings,
)
from inference_server.settings_help import describe_option

log = logging.getLogger("azmlinfsrv")

NOTHING_TO_SERVE = 1
"""There is no script or no port; callers of the reference expect 1, not 2."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the server until it is told to stop, or the sub-command `tune`; exits the process."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["tune"]:
        from inference_server.tuning.command import main as tune

        sys.exit(tune(arguments[1:]))
    options = _parser().parse_args(_with_underscores(arguments))
    _write_environment(options)
    # Nothing below is needed for --help and --version, and imports take time.
    from inference_server.config_file import load_settings
    from inference_server.log_config import configure_logging
    from inference_server.start_failures import describe_settings_error

    try:
        _choose_app_root()
        settings = load_settings(os.environ)
        _check_engine(settings)
        _choose_reload(settings)
    except SettingsError as error:
        configure_logging(Settings())
        for record in describe_settings_error(error):
            log.critical("%s", record)
        sys.exit(START_FAILED)
    configure_logging(settings)
    _complete_environment(settings, options)
    if not settings.entry_script and not settings.config_file:
        log.error("Error!")
        log.error("Please provide the scoring script with --entry_script, or a --config_file.")
        sys.exit(NOTHING_TO_SERVE)
    settings = _announce(settings)
    _serve(settings)


def _check_engine(settings: Settings) -> None:
    if settings.engine == "granian":
        from inference_server.granian_engine.options import check_options

        check_options(settings, os.environ)
    elif sys.platform == "win32":
        problem = SettingProblem("AZML_ENGINE", "gunicorn does not run on Windows", "engine")
        raise SettingsError([problem])


def _announce(settings: Settings) -> Settings:
    from inference_server.banner import check_instrumentation_key, render_banner
    from inference_server.config_file import load_settings

    if not settings.model_dir:
        print("The environment variable 'AZUREML_MODEL_DIR' has not been set.")
        print("Use the --model_dir command line argument to set it.")
    if settings.config_file and not os.path.isfile(settings.config_file):  # noqa: PTH113 - as given
        log.warning("There is no config file %s; going on without it", settings.config_file)
    enabled, notes = check_instrumentation_key(settings)
    for line in notes:
        print(line)
    os.environ["AML_APP_INSIGHTS_ENABLED"] = "true" if enabled else "false"
    settings = load_settings(os.environ)
    print(render_banner(os.environ, settings), flush=True)
    return settings


def _serve(settings: Settings) -> NoReturn:
    from inference_server.ports import check_addresses

    try:
        check_addresses(settings)
    except PortError as error:
        log.error("%s\n  hint: %s", error, error.hint)
        sys.exit(NOTHING_TO_SERVE)
    if settings.engine == "granian":
        from inference_server.granian_engine.server import serve
    else:
        from inference_server.gunicorn_engine.server import serve
    serve(settings)
    sys.exit(0)


def _with_underscores(arguments: Sequence[str]) -> list[str]:
    """Options in the spelling of the table: `--entry-script` is `--entry_script`."""
    return [_underscored(argument) for argument in arguments]


def _underscored(argument: str) -> str:
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument[2:].partition("=")
    name = name.replace("-", "_")
    candidates = [option for option in _REFERENCE_OPTIONS if option.startswith(name)]
    is_ours = any(row.name == name for row in TABLE)
    if name and len(candidates) == 1 and not is_ours:
        name = candidates[0]
    return f"--{name}{equals}{value}"


_REFERENCE_OPTIONS = (
    "access_control_allow_origins", "appinsights_instrumentation_key", "config_file",
    "entry_script", "health_port", "help", "model_dir", "port", "rest", "worker_count",
)  # fmt: skip
"""What was short for exactly one of the reference's options stays short for it: `--worker 2`."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="azmlinfsrv",
        description="Serve an Azure ML scoring script (init() and run()) over HTTP.",
        epilog="Every option can also be set by its environment variable, in brackets above, or in "
        "the config file under that name. Options win over the environment, that over the file. "
        "Hyphens work in place of underscores. `azmlinfsrv tune --help` tells how to find the best "
        "settings for a script.",
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
    elif row.negatable:
        choice = parser.add_mutually_exclusive_group()
        choice.add_argument(name, action="store_true", default=None, help=_escaped(row))
        choice.add_argument(
            f"--no_{row.name}", action="store_false", default=None, dest=row.name,
            help=argparse.SUPPRESS,
        )  # fmt: skip
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
            environ[row.variable] = str(value).lower() if row.flag else str(value)
        elif not row.reads_environment:
            environ[row.variable] = str(row.default)
    for name in ("entry_script", "config_file"):
        path = getattr(options, name)
        if path is not None:
            environ[f"AZUREML_{name.upper()}"] = os.path.realpath(path)
    environ["TRANSPORT_PROTOCOL"] = "rest" if options.rest else "grpc"
    if options.appinsights_instrumentation_key is not None:
        environ["AML_APP_INSIGHTS_ENABLED"] = "true"
    elif environ.get("AML_APP_INSIGHTS_ENABLED", "true") not in ("true", ""):
        # As with the reference, only the exact word switches telemetry on, and no word is an error.
        environ["AML_APP_INSIGHTS_ENABLED"] = "false"
    shown = environ.get("SERVER_VERSION_LOG_RESPONSE_ENABLED", "true").lower() == "true"
    if shown:
        environ["HTTP_X_MS_SERVER_VERSION"] = f"azmlinfsrv/{__version__}"


def _choose_app_root() -> None:
    """Set `AML_APP_ROOT` where nobody did: to what the config file says, or the current directory.

    A file found in the current directory that moves the app root is kept in force by its name.
    """
    environ = os.environ
    if environ.get("AML_APP_ROOT"):
        return
    from inference_server.config_file import find_config_file

    environ["AML_APP_ROOT"] = os.getcwd()  # noqa: PTH109 - a string is wanted
    found = find_config_file(environ)
    if found.values.get("AML_APP_ROOT") is not None:
        environ["AML_APP_ROOT"] = read_settings({}, found.values, found.name).app_root
        environ["AZUREML_CONFIG_FILE"] = str(found.path)


def _choose_reload(settings: Settings) -> None:
    """Write whether to reload on save into the environment, where worker processes read it."""
    from inference_server.reload.choosing import choose_reload

    in_terminal = sys.stdin is not None and sys.stdin.isatty()
    os.environ["AZML_RELOAD"] = str(choose_reload(settings, in_terminal=in_terminal)).lower()


def _complete_environment(settings: Settings, options: argparse.Namespace) -> None:
    """Set the variables that scripts find set even when nobody set them."""
    environ = os.environ
    environ["WORKER_COUNT"] = str(settings.worker_count)
    health_port = settings.port
    if settings.separate_health:
        health_port = settings.health_port or DEFAULT_HEALTH_PORT
    elif options.port is None and options.health_port is None:
        health_port = settings.health_port or settings.port
    environ["HEALTH_PORT"] = str(health_port)
    if settings.model_dir:
        environ["AZUREML_MODEL_DIR"] = settings.model_dir
