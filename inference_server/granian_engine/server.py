"""Starts the Granian engine with the server's settings, in this process."""

from __future__ import annotations

import os

from inference_server.settings import Settings


def serve(settings: Settings) -> None:
    """Serve with Granian; does not return.

    Raises:
        SystemExit: With the master's exit code.
    """
    if not hasattr(os, "fork"):
        from inference_server.granian_engine.direct import serve_directly

        serve_directly(settings)
    from inference_server.granian_engine.master import Master

    Master(settings).run()
