"""Starts gunicorn with the server's settings, in this process."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from gunicorn.app.base import Application as GunicornApplication
from gunicorn.glogging import Logger

from inference_server.application import Application
from inference_server.errors import START_FAILED
from inference_server.gunicorn_engine.supervisor import Supervisor
from inference_server.gunicorn_engine.worker import ScoringWorker
from inference_server.ports import addresses
from inference_server.scoreboard import Scoreboard
from inference_server.settings import Settings
from inference_server.wsgi import leave

log = logging.getLogger("azmlinfsrv")


class QuietLogger(Logger):
    """gunicorn's logger without handlers of its own: ours are configured already."""

    def setup(self, cfg: Any) -> None:
        """Leave the configuration of the two loggers as it is."""
        self.cfg = cfg

    def reopen_files(self) -> None:
        """There are no files."""

    def close_on_exec(self) -> None:
        """There are no files."""


class Server(GunicornApplication):
    """gunicorn's application object for our settings.

    `GUNICORN_CMD_ARGS` and a `gunicorn.conf.py` in the current directory are honoured, as with the
    reference, for everything that is not an option of ours. A worker class of gunicorn's own, or
    TLS, is served through the WSGI entry instead of our event loop.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        super().__init__(prog="azmlinfsrv")

    def load_config(self) -> None:
        """Our settings over the environment's over the config file's over gunicorn's defaults."""
        parser = self.cfg.parser()
        from_environment = parser.parse_args(self.cfg.get_cmd_args_from_env())
        config = from_environment.config or "./gunicorn.conf.py"
        if from_environment.config or os.path.exists(config):  # noqa: PTH110 - as gunicorn names it
            self.load_config_from_file(config)
        for key, value in vars(from_environment).items():
            if value is not None and key != "args":
                self.cfg.set(key.lower(), value)
        chosen_worker = self.cfg.settings["worker_class"].get() != "sync" or self.cfg.threads > 1
        if not chosen_worker and not self.cfg.is_ssl:
            self.cfg.set("worker_class", ScoringWorker)
        for key, value in self._ours().items():
            self.cfg.set(key, value)

    def _ours(self) -> dict[str, Any]:
        settings = self.settings
        ours: dict[str, Any] = {
            "bind": [f"{_bracketed(host)}:{port}" for host, port in addresses(settings)],
            "workers": settings.worker_count,
            "timeout": settings.worker_timeout,
            "graceful_timeout": settings.graceful_timeout,
            "logger_class": QuietLogger,
            "preload_app": False,
        }
        if "control_socket_disable" in self.cfg.settings:
            # gunicorn 26 and later would open a socket in the user's home directory.
            ours["control_socket_disable"] = True
        return ours

    def preload(self, scoreboard: Scoreboard) -> Application | None:
        """Load the script in the master, when the user asked for it and our worker serves it."""
        if not self.settings.worker_preload or self.cfg.worker_class is not ScoringWorker:
            return None
        row = Scoreboard().take_row()
        application = Application(self.settings, scoreboard, row, give_up=leave)
        try:
            application.load(before_fork=True)
        except Exception:  # noqa: BLE001 - whatever it is, it has been logged for the user
            sys.exit(START_FAILED)
        return application

    def load(self) -> Callable[..., Any]:
        """The WSGI entry, for gunicorn's own worker classes."""
        from inference_server.entry import app

        return app

    def run(self) -> None:
        """Serve until a signal ends the master; exits the process."""
        if self.cfg.worker_class is not ScoringWorker:
            if self.settings.reload:
                log.warning("Reload on save is off: gunicorn's own workers cannot do it")
            super().run()
        Supervisor(self).run()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def serve(settings: Settings) -> None:
    """Serve with gunicorn; does not return.

    Raises:
        SystemExit: With the master's exit code.
    """
    Server(settings).run()
