"""Our settings in Granian's terms, and those of them that Granian cannot honour."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from inference_server.errors import SettingProblem, SettingsError
from inference_server.settings import Settings

MAX_QUEUE = 1000
"""A waiting request holds a thread; more of them than this are refused rather than promised."""

SPARE_THREADS = 8
"""Threads beyond places and queue, so that health, metrics and refusals never wait for one."""

LONGEST_HEADER_TIMEOUT_S = 60

_ONLY_GUNICORN = (
    "Granian cannot do this: use --engine gunicorn, or leave the setting at its default"
)


def check_options(settings: Settings, environ: Mapping[str, str]) -> None:
    """Make sure that Granian is there and can do what is asked.

    Raises:
        SettingsError: It is not installed, or a setting would have no effect.
    """
    if find_spec("granian") is None:
        hint = "Granian is not installed: pip install 'azml[fast]', or use --engine gunicorn"
        raise SettingsError([SettingProblem("AZML_ENGINE", hint, "engine granian")])
    default = Settings()
    problems: list[tuple[str, str]] = []
    if settings.separate_health:
        problems.append(("SEPERATE_HEALTH_ENDPOINT", f"a second port for health; {_ONLY_GUNICORN}"))
    if not hasattr(os, "fork") and (settings.worker_count > 1 or settings.worker_preload):
        name = "WORKER_PRELOAD" if settings.worker_preload else "WORKER_COUNT"
        problems.append((name, "there is one worker process on this system, which starts afresh"))
    if settings.body_timeout != default.body_timeout:
        problems.append(("AZML_BODY_TIMEOUT", f"a time limit for bodies; {_ONLY_GUNICORN}"))
    if settings.max_queue > MAX_QUEUE:
        problems.append(
            ("AZML_MAX_QUEUE", f"a waiting request holds a thread here: at most {MAX_QUEUE}")
        )
    if settings.keep_alive not in (0, default.keep_alive):
        problems.append(("AZML_KEEP_ALIVE", f"a time limit for idle connections; {_ONLY_GUNICORN}"))
    if settings.header_timeout > LONGEST_HEADER_TIMEOUT_S:
        problems.append(
            ("AZML_HEADER_TIMEOUT", f"Granian waits {LONGEST_HEADER_TIMEOUT_S} s at the most")
        )
    if environ.get("GUNICORN_CMD_ARGS"):
        problems.append(("GUNICORN_CMD_ARGS", "has no meaning for Granian: unset it"))
    if problems:
        where = "engine granian"
        raise SettingsError([SettingProblem(name, text, where) for name, text in problems])


def granian_options(settings: Settings) -> dict[str, Any]:
    """Arguments for `granian.Granian` with one worker process."""
    from granian.constants import Interfaces
    from granian.http import HTTP1Settings
    from granian.log import LogLevels

    threads = settings.max_concurrent_requests + settings.max_queue + SPARE_THREADS
    return {
        # Granian wants a name; the application itself comes from `serve`.
        "target": "inference_server",
        "address": settings.host.strip("[]"),
        "port": settings.port,
        "interface": Interfaces.WSGI,
        "websockets": False,
        "workers": 1,
        "blocking_threads": threads,
        "backpressure": threads,
        "workers_kill_timeout": settings.graceful_timeout or None,
        "http1_settings": HTTP1Settings(
            header_read_timeout=round(settings.header_timeout * 1000),
            keep_alive=settings.keep_alive > 0,
        ),
        # What is worth saying, our own log says; Granian's configuration would replace the user's.
        "log_enabled": False,
        "log_level": LogLevels.critical,
        "working_dir": os.getcwd(),  # noqa: PTH109 - handed through
    }
