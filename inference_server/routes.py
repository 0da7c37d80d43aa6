"""The Flask application: every route that answers at once; `/score` goes through admission."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, Protocol

import flask
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from inference_server.errors import RequestError
from inference_server.health import Health
from inference_server.openapi import OpenApiDocuments
from inference_server.replies import RUN_FAILED, Reply, message_reply, status_line

SCORE_METHODS = ("GET", "HEAD", "OPTIONS", "POST")


class Served(Protocol):
    """What the routes show of the running server."""

    def health(self) -> Health:
        """The state right now."""

    def metrics(self, accept: str) -> tuple[str, bytes]:
        """Content type and body of `/metrics`."""

    @property
    def documents(self) -> OpenApiDocuments | None:
        """The OpenAPI documents, once the script has loaded."""


def create_flask(served: Served) -> flask.Flask:
    """The Flask application for a server."""
    app = flask.Flask("inference_server", static_folder=None)
    # Known to Flask so that url_for and request.url_rule work in scripts; answered elsewhere. What
    # still comes here is a target that only Flask reads as /score, such as `score`.
    app.add_url_rule(
        "/score", "score", lambda: flask.abort(404), methods=["GET", "POST", "OPTIONS"]
    )

    @app.get("/")
    def health_check() -> str:
        return "Healthy"

    @app.get("/livez")
    def livez() -> flask.Response:
        return _json(*served.health().liveness())

    @app.get("/readyz")
    def readyz() -> flask.Response:
        return _json(*served.health().readiness())

    @app.get("/metrics")
    def metrics() -> flask.Response:
        content_type, body = served.metrics(flask.request.headers.get("Accept", ""))
        return flask.Response(body, content_type=content_type)

    @app.get("/swagger.json")
    def swagger() -> flask.Response:
        if served.documents is None:
            message = "The OpenAPI documents are not there before the scoring script has loaded."
            return _message(HTTPStatus.SERVICE_UNAVAILABLE, message)
        version = flask.request.args.get("version")
        response = _json(HTTPStatus.OK, served.documents.get(version))
        response.headers[RUN_FAILED] = "False"
        return response

    @app.errorhandler(RequestError)
    def refused(error: RequestError) -> flask.Response:
        return _message(error.status, error.message)

    @app.errorhandler(HTTPException)
    def not_routed(error: HTTPException) -> flask.Response:
        response = _message(error.code or 500, error.description or "")
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
        return response

    return app


def _json(status: int, body: bytes) -> flask.Response:
    return flask.Response(body, status=status, mimetype="application/json")


def _message(status: int, message: str) -> flask.Response:
    response = _json(status, json.dumps({"message": message}).encode())
    response.headers[RUN_FAILED] = "False"
    return response


def reply_from_flask(app: flask.Flask, environ: dict[str, Any]) -> Reply:
    """Flask's answer to a request as a value."""
    collected: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        collected.update(status=status, headers=list(headers))

    chunks = app.wsgi_app(environ, start_response)  # type: ignore[arg-type]
    try:
        body = b"".join(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    return Reply(collected["status"], collected["headers"], body)


def score_method_reply(method: str, *, is_raw: bool) -> Reply | None:
    """The answer to `/score` for methods that do not reach `run()`; None for those that do."""
    if method in ("POST", "GET") or (is_raw and method in SCORE_METHODS):
        return None
    if method == "OPTIONS":
        headers = [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", "0"),
            (RUN_FAILED, "False"),
        ]
        return Reply(status_line(HTTPStatus.OK), headers)
    message = MethodNotAllowed.description if method != "HEAD" else "Method not allowed"
    reply = message_reply(HTTPStatus.METHOD_NOT_ALLOWED, message)
    reply.headers.append(
        ("Allow", ", ".join(SCORE_METHODS if is_raw else ("GET", "OPTIONS", "POST")))
    )
    return reply
