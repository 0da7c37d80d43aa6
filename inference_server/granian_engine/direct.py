"""The Granian engine where processes cannot fork (Windows): one worker process, no master of ours.

A worker that dies ends the server with its exit code; nothing reloads or replaces it.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from inference_server.application import Application
from inference_server.config_file import load_settings
from inference_server.debugger import connect_to_debugger
from inference_server.errors import START_FAILED
from inference_server.granian_engine.worker import serve_one_worker
from inference_server.log_config import configure_logging
from inference_server.scoreboard import Scoreboard
from inference_server.script_thread import ScriptThread
from inference_server.settings import Settings
from inference_server.wsgi import WsgiServer, hand_over, leave


def serve_directly(settings: Settings) -> NoReturn:
    """Serve with one worker process that starts afresh; exits as it ends."""
    sys.exit(serve_one_worker(settings, load_afresh))


def load_afresh() -> WsgiServer:
    """The WSGI application of a process that has nothing but its environment."""
    settings = load_settings(os.environ)
    configure_logging(settings)
    scoreboard = Scoreboard()
    application = Application(settings, scoreboard, scoreboard.take_row(), leave, hand_over)
    ScriptThread(
        application,
        before_load=lambda: connect_to_debugger(settings),
        on_failure=lambda error: os._exit(START_FAILED),
    )
    return WsgiServer(application)
