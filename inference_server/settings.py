"""Every setting of the server, defined once: name, variable, default, range and help.

The command line, the environment and the config file all read this table, and `--help`, the table
of the documentation and the messages about bad values are made from it. Precedence: option >
environment > file > default; the command line wins because it is written into the environment
first, where scoring scripts see it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from inference_server.errors import SettingProblem, SettingsError
from inference_server.scripting import LONGEST_WAIT_MS, MOST_REQUESTS
from inference_server.setting_parsers import (
    Parser,
    boolean,
    choice,
    exactly_true,
    integer,
    log_level,
    milliseconds,
    origins,
    seconds,
    size,
    text,
)

T = TypeVar("T")

DEFAULT_APP_ROOT = "/var/azureml-app"
"""Where the container layout puts the user's code when nothing else is said."""

DEFAULT_ENGINE = "granian" if sys.platform == "win32" else "gunicorn"
"""gunicorn does not run on Windows."""

DEFAULT_HEALTH_PORT = 5000
"""The port for health when it has one of its own."""


@dataclass(frozen=True)
class Setting:
    """One row of the table.

    Attributes:
        name: Field of `Settings` and, where `on_command_line`, the option's name.
        variable: Environment variable and config-file key.
        parse: Turns a string (or a JSON value of the file) into the field's value; raises
            `ValueError` with the expected type and range.
        flag: The option takes no value.
        negatable: There is a `--no_…` option too, and leaving both away means something else.
        reads_environment: False for variables that the launcher only writes.
    """

    name: str
    variable: str
    parse: Parser
    help: str
    metavar: str
    default: Any
    on_command_line: bool
    flag: bool
    negatable: bool
    reads_environment: bool


def _setting(  # noqa: PLR0913 - the columns of the table
    default: T,
    variable: str,
    parse: Parser,
    help: str,
    *,
    metavar: str = "",
    option: bool = True,
    flag: bool = False,
    negatable: bool = False,
    reads_environment: bool = True,
    secret: bool = False,
) -> T:
    row = {
        "variable": variable,
        "parse": parse,
        "help": help,
        "metavar": metavar,
        "on_command_line": option,
        "flag": flag,
        "negatable": negatable,
        "reads_environment": reads_environment,
    }
    return field(default=default, metadata=row, repr=not secret)


@dataclass(frozen=True)
class Settings:
    """The settings in force; reading them does nothing else."""

    entry_script: str | None = _setting(
        None, "AZUREML_ENTRY_SCRIPT", text, "The scoring script to serve.", metavar="PATH"
    )
    model_dir: str | None = _setting(
        None, "AZUREML_MODEL_DIR", text, "The folder with the model files.", metavar="PATH"
    )
    host: str = _setting(
        "127.0.0.1", "AZML_HOST", text, "The address to listen on; 0.0.0.0 for all.", metavar="ADDR"
    )
    port: int = _setting(
        5001,
        "SERVER_PORT",
        integer(1, 65535),
        "The port to listen on.",
        metavar="N",
        reads_environment=False,
    )
    health_port: int | None = _setting(
        None,
        "HEALTH_PORT",
        integer(1, 65535),
        "A second port for health, with SEPERATE_HEALTH_ENDPOINT=true (then 5000 by default).",
        metavar="N",
    )
    engine: str = _setting(
        DEFAULT_ENGINE,
        "AZML_ENGINE",
        choice("gunicorn", "granian"),
        "The HTTP server: gunicorn, or granian (faster; `pip install 'azml[fast]'`).",
        metavar="{gunicorn,granian}",
    )
    worker_count: int = _setting(
        1, "WORKER_COUNT", integer(1), "Worker processes, each with its own model.", metavar="N"
    )
    appinsights_instrumentation_key: str | None = _setting(
        None, "AML_APP_INSIGHTS_KEY", text, "Send telemetry to this Application Insights resource.",
        secret=True, metavar="KEY",
    )  # fmt: skip
    access_control_allow_origins: str | None = _setting(
        None,
        "AML_CORS_ORIGINS",
        origins,
        "Comma-separated origins that browsers may call from.",
        metavar="LIST",
    )
    config_file: str | None = _setting(
        None,
        "AZUREML_CONFIG_FILE",
        text,
        "A JSON file with settings, keyed by variable name.",
        metavar="PATH",
    )
    error_details: str = _setting(
        "full",
        "AZML_ERROR_DETAILS",
        choice("full", "none"),
        "Say in the answer where in the scoring script a request failed.",
        metavar="{full,none}",
    )
    max_concurrent_requests: int = _setting(
        1,
        "AZML_MAX_CONCURRENT_REQUESTS",
        integer(1, 1024),
        "Calls of run() at the same time in one worker process.",
        metavar="N",
    )
    max_queue: int = _setting(
        100,
        "AZML_MAX_QUEUE",
        integer(0, 100_000),
        "Requests that may wait for run() in one worker process; beyond, 429. Those that fill the "
        "batch of an idle run() are let in besides.",
        metavar="N",
    )
    batch_max_size: int | None = _setting(
        None,
        "AZML_BATCH_MAX_SIZE",
        integer(1, MOST_REQUESTS),
        "Requests in one call of run(), which then takes and returns lists; overrides @batch.",
        metavar="N",
    )
    batch_max_wait_ms: float | None = _setting(
        None,
        "AZML_BATCH_MAX_WAIT_MS",
        milliseconds(0, LONGEST_WAIT_MS),
        "Milliseconds a batch may be held back for more requests; 10 unless @batch says so.",
        metavar="MS",
    )
    scoring_timeout_ms: int = _setting(
        3_600_000,
        "SCORING_TIMEOUT_MS",
        integer(0),
        "Deadline for one call of run() in milliseconds; 0 for none.",
        metavar="MS",
    )
    stuck_grace: float = _setting(
        10.0,
        "AZML_STUCK_GRACE",
        seconds(0),
        "Seconds past the deadline after which a worker stuck in run() is replaced.",
        metavar="S",
    )
    worker_timeout: int = _setting(
        300,
        "WORKER_TIMEOUT",
        integer(0),
        "Seconds after which a silent worker is replaced; when set, also caps run(). 0 for never.",
        metavar="S",
    )
    graceful_timeout: int = _setting(
        30,
        "AZML_GRACEFUL_TIMEOUT",
        integer(0),
        "Seconds that requests in flight get to finish after SIGTERM.",
        metavar="S",
    )
    max_body_size: int = _setting(
        100 << 20,
        "AZML_MAX_BODY_SIZE",
        size,
        "Largest request body in bytes, or with a unit (100MiB); beyond, 413.",
        metavar="SIZE",
    )
    header_timeout: float = _setting(
        10.0,
        "AZML_HEADER_TIMEOUT",
        seconds(0.1),
        "Seconds a client has to send a request's header.",
        metavar="S",
    )
    body_timeout: float = _setting(
        60.0,
        "AZML_BODY_TIMEOUT",
        seconds(0.1),
        "Seconds without a byte after which an unfinished body or an unread answer is given up.",
        metavar="S",
    )
    keep_alive: float = _setting(
        75.0,
        "AZML_KEEP_ALIVE",
        seconds(0),
        "Seconds an idle connection stays open; 0 to close after each answer.",
        metavar="S",
    )
    nan: str = _setting(
        "null",
        "AZML_NAN",
        choice("null", "literal"),
        "How NaN and Infinity are written: null, or the bare literal that is not valid JSON.",
        metavar="{null,literal}",
    )
    log_format: str = _setting(
        "text", "AZML_LOG_FORMAT", choice("text", "json"), "Shape of log lines.",
        metavar="{text,json}",
    )  # fmt: skip
    log_level: str = _setting(
        "INFO",
        "AZUREML_LOG_LEVEL",
        log_level,
        "Lowest level that is logged.",
        metavar="LEVEL",
    )
    reload: bool | None = _setting(
        None,
        "AZML_RELOAD",
        boolean,
        "Load the script again when it or a module beside it is saved; --no_reload not to. "
        "On by default in a terminal, on a loopback address.",
        flag=True,
        negatable=True,
    )
    compat: bool = _setting(
        False,
        "AZML_COMPAT",
        boolean,
        "Answer as azureml-inference-server-http does where the two differ: 500 for timeouts and "
        "schema mismatches, no error details, NaN literals.",
        flag=True,
    )
    rest: bool = _setting(False, "TRANSPORT_PROTOCOL", boolean, "", flag=True)

    reload_polling: bool | None = _setting(
        None,
        "AZML_RELOAD_POLLING",
        boolean,
        "Look for saves five times a second, instead of waiting for the system's events. "
        "Chosen by the file system when unset.",
        option=False,
    )
    app_root: str = _setting(
        DEFAULT_APP_ROOT,
        "AML_APP_ROOT",
        text,
        "Base of relative paths; searched for config.json, logging.json, swagger*.json, main.py. "
        "The command sets it to the current directory when unset.",
        option=False,
    )
    source_directory: str | None = _setting(
        None,
        "AZUREML_SOURCE_DIRECTORY",
        text,
        "A folder under AML_APP_ROOT that scripts can import from.",
        option=False,
    )
    worker_preload: bool = _setting(
        False,
        "WORKER_PRELOAD",
        exactly_true,
        "Run init() once, before the workers are forked.",
        option=False,
    )
    separate_health: bool = _setting(
        False,
        "SEPERATE_HEALTH_ENDPOINT",
        lambda value: value == "true" or value is True,
        "Exactly `true`: listen on the health port too.",
        option=False,
    )
    service_name: str = _setting(
        "ML service", "SERVICE_NAME", text, "Title in the OpenAPI documents.", option=False
    )
    service_version: str = _setting(
        "1.0", "SERVICE_VERSION", text, "Version in the OpenAPI documents.", option=False
    )
    service_path_prefix: str = _setting(
        "", "SERVICE_PATH_PREFIX", text, "Path prefix in the OpenAPI documents.", option=False
    )
    workspace_name: str = _setting("", "WORKSPACE_NAME", text, "For telemetry.", option=False)
    hostname: str = _setting("Unknown", "HOSTNAME", text, "For telemetry.", option=False)
    debug_port: int | None = _setting(
        None,
        "AZUREML_DEBUG_PORT",
        integer(1, 65535),
        "Connect to a debugger that listens on this port of this machine before loading.",
        option=False,
    )
    appinsights_enabled: bool = _setting(
        False, "AML_APP_INSIGHTS_ENABLED", boolean, "Exactly `true`: send telemetry.", option=False
    )
    appinsights_endpoint: str | None = _setting(
        None,
        "AML_APP_INSIGHTS_ENDPOINT",
        text,
        "Ingestion endpoint, when not the public one.",
        option=False,
    )
    appinsights_log_response: bool = _setting(
        True,
        "APP_INSIGHTS_LOG_RESPONSE_ENABLED",
        boolean,
        "Include response bodies in telemetry.",
        option=False,
    )
    collect_model_data: bool = _setting(
        False,
        "AML_MODEL_DC_STORAGE_ENABLED",
        boolean,
        "Include inputs and predictions in telemetry (AML_MDC_STORAGE_ENABLED is read too).",
        option=False,
    )

    @property
    def deadline_s(self) -> float | None:
        """Seconds that one call of `run()` may take, or None."""
        limits = [self.scoring_timeout_ms / 1000] if self.scoring_timeout_ms else []
        if self.worker_timeout and self.worker_timeout_was_set:
            limits.append(float(self.worker_timeout))
        return min(limits, default=None)

    @property
    def has_own_deadline(self) -> bool:
        """Whether the user wants answers at a deadline, and so a thread that can give them."""
        return self.deadline_s is not None and self.deadline_s < Settings.scoring_timeout_ms / 1000

    @property
    def is_local(self) -> bool:
        """Only clients on this machine can connect."""
        return self.host.strip("[]") in ("127.0.0.1", "localhost", "::1")

    @property
    def script_path(self) -> Path | None:
        """Absolute path of the scoring script, or None for `main.py` mode."""
        if not self.entry_script:
            return None
        return Path(self.app_root, self.entry_script)

    worker_timeout_was_set: bool = False
    """The default guards against silent workers only, so that the 1 h deadline is reachable."""


TABLE: tuple[Setting, ...] = tuple(
    Setting(name=f.name, default=f.default, **f.metadata) for f in fields(Settings) if f.metadata
)
BY_VARIABLE: Mapping[str, Setting] = {row.variable: row for row in TABLE}

_OTHER_VARIABLES = {"AML_MDC_STORAGE_ENABLED": "AML_MODEL_DC_STORAGE_ENABLED"}
"""Second names of variables: the reference reads the first, its documentation says the second."""


def option_rows() -> list[Setting]:
    """The rows that are options and listed in the help."""
    return [row for row in TABLE if row.on_command_line and row.help]


def read_settings(
    environ: Mapping[str, str], file_values: Mapping[str, Any], file_name: str
) -> Settings:
    """The settings in force for an environment and the values of a config file.

    Raises:
        SettingsError: Every value that cannot be used, with its variable and where it was found.
    """
    values: dict[str, Any] = {}
    problems: list[SettingProblem] = []
    found = dict(_sources(environ, file_values, file_name))
    for row in TABLE:
        if row.variable not in found:
            continue
        raw, where = found[row.variable]
        try:
            values[row.name] = row.parse(raw)
        except ValueError as error:
            problems.append(SettingProblem(row.variable, str(error), where))
    if problems:
        raise SettingsError(problems)
    values.pop("rest", None)
    compat_defaults = {"error_details": "none", "nan": "literal"} if values.get("compat") else {}
    return Settings(
        **{**compat_defaults, **values}, worker_timeout_was_set="WORKER_TIMEOUT" in found
    )


def _sources(
    environ: Mapping[str, str], file_values: Mapping[str, Any], file_name: str
) -> list[tuple[str, tuple[Any, str]]]:
    """(variable, (raw value, where)) in rising precedence.

    Left out: null in the file, and variables that are set to nothing, as `VARIABLE=` in a shell or
    a Dockerfile does.
    """
    pairs: list[tuple[str, tuple[Any, str]]] = []
    for source, where in ((file_values, file_name), (environ, "environment variable")):
        # Second names first, so that the name of the table wins where both are set.
        for key in (*_OTHER_VARIABLES, *BY_VARIABLE):
            raw = source.get(key)
            if raw is None or key == "TRANSPORT_PROTOCOL" or (source is environ and raw == ""):
                continue
            place = f"{where}: {key}" if source is environ else where
            pairs.append((_OTHER_VARIABLES.get(key, key), (raw, place)))
    return pairs
