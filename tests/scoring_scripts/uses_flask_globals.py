"""Reads Flask's context inside `run()`."""

import flask


def init():
    """Nothing to load."""


def run(data):
    """Return what the globals say."""
    return {
        "path": flask.request.path,
        "agent": flask.request.headers["User-Agent"],
        "request_id": flask.g.request_id,
        "is_app": isinstance(flask.current_app._get_current_object(), flask.Flask),
    }
