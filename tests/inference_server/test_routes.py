"""The routes that answer at once."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import flask
import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import create_environ

from inference_server.errors import RequestError
from inference_server.health import Health, ServerState
from inference_server.openapi import (
    UNDESCRIBED_PAYLOAD,
    OpenApiDocuments,
    ServiceDescription,
    build_openapi_documents,
)
from inference_server.replies import Reply
from inference_server.routes import create_flask, reply_from_flask, score_method_reply
from tests.inference_server.support import few

NOT_FOUND = (
    "The requested URL was not found on the server. If you entered the URL manually please check "
    "your spelling and try again."
)
NOT_ALLOWED = "The method is not allowed for the requested URL."
HTML = "text/html; charset=utf-8"


class Served:
    """A server in a given state."""

    def __init__(
        self, state: ServerState = ServerState.READY, documents: OpenApiDocuments | None = None
    ) -> None:
        self._state = state
        self.documents = documents

    def health(self) -> Health:
        return Health(self._state, 1, 2, ("line",))

    def metrics(self, accept: str) -> tuple[str, bytes]:
        return f"text/plain; asked={accept}", b"metrics"


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> OpenApiDocuments:
    folder = tmp_path_factory.mktemp("root")
    return build_openapi_documents(
        ServiceDescription("name", "1.0", ""), UNDESCRIBED_PAYLOAD, Path(folder)
    )


def ask(
    method: str,
    path: str,
    served: Served | None = None,
    headers: dict[str, str] | None = None,
    app: flask.Flask | None = None,
) -> Reply:
    environ = create_environ(path, method=method, headers=headers)
    return reply_from_flask(app or create_flask(served or Served()), environ)


def answer(reply: Reply) -> tuple[str, str | None, Any]:
    text = reply.body.decode()
    content_type = dict(reply.headers).get("Content-Type")
    return reply.status, content_type, json.loads(text) if text.startswith("{") else text


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        pytest.param("GET", "/", ("200 OK", HTML, "Healthy"), id="health"),
        pytest.param("GET", "/?x=1", ("200 OK", HTML, "Healthy"), id="health with query"),
        pytest.param("HEAD", "/", ("200 OK", HTML, ""), id="health without body"),
        pytest.param("OPTIONS", "/", ("200 OK", HTML, ""), id="options of health"),
        pytest.param(
            "GET", "/livez", ("200 OK", "application/json", {"state": "READY"}), id="liveness"
        ),
        pytest.param(
            "GET",
            "/readyz",
            (
                "200 OK",
                "application/json",
                {
                    "state": "READY",
                    "requests_in_flight": 1,
                    "queue_length": 2,
                    "init_log": ["line"],
                },
            ),
            id="readiness",
        ),
        pytest.param("GET", "/metrics", ("200 OK", "text/plain; asked=", "metrics"), id="metrics"),
        pytest.param(
            "POST",
            "/",
            ("405 METHOD NOT ALLOWED", "application/json", {"message": NOT_ALLOWED}),
            id="wrong method",
        ),
        pytest.param(
            "FOO",
            "/swagger.json",
            ("405 METHOD NOT ALLOWED", "application/json", {"message": NOT_ALLOWED}),
            id="unknown method",
        ),
        *(
            pytest.param(
                "GET",
                path,
                ("404 NOT FOUND", "application/json", {"message": NOT_FOUND}),
                id=f"no such path {path}",
            )
            for path in ("/score/", "/Score", "/livez/", "/static/x", "/swagger.json/", "/a//b")
        ),
        pytest.param(
            "GET",
            "/swagger.json",
            (
                "503 SERVICE UNAVAILABLE",
                "application/json",
                {
                    "message": "The OpenAPI documents are not there before the scoring script has "
                    "loaded."
                },
            ),
            id="documents before the start",
        ),
    ],
)
def test_a_route_answers(method: str, path: str, expected: tuple[str, str, Any]):
    assert answer(ask(method, path)) == expected


@pytest.mark.parametrize(
    ("path", "methods"),
    [("/", {"GET", "HEAD", "OPTIONS"}), ("/swagger.json", {"GET", "HEAD", "OPTIONS"})],
)
def test_a_wrong_method_is_told_the_right_ones(path: str, methods: set[str]):
    headers = dict(ask("PUT", path).headers)

    assert {*headers["Allow"].split(", ")} == methods
    assert headers["x-ms-run-function-failed"] == "False"


def test_metrics_come_in_the_format_the_client_accepts():
    reply = ask("GET", "/metrics", headers={"Accept": "openmetrics"})

    assert dict(reply.headers)["Content-Type"] == "text/plain; asked=openmetrics"


def test_the_documents_are_served_once_they_are_there(documents: OpenApiDocuments):
    reply = ask("GET", "/swagger.json?version=3.1", Served(documents=documents))

    assert answer(reply)[:2] == ("200 OK", "application/json")
    assert json.loads(reply.body)["openapi"] == "3.1.0"
    assert dict(reply.headers)["x-ms-run-function-failed"] == "False"


def test_an_unknown_version_of_the_documents_is_refused(documents: OpenApiDocuments):
    assert answer(ask("GET", "/swagger.json?version=9", Served(documents=documents))) == (
        "404 NOT FOUND",
        "application/json",
        {"message": "Swagger version [9] is not valid. Supported versions: [2, 3, 3.1]."},
    )


@pytest.mark.parametrize("path", ["score", "/score"])
def test_a_target_that_only_flask_reads_as_score_is_not_found(path: str):
    environ = create_environ("/", method="POST")
    environ["PATH_INFO"] = path

    reply = reply_from_flask(create_flask(Served()), environ)

    assert answer(reply) == ("404 NOT FOUND", "application/json", {"message": NOT_FOUND})


def test_a_refusal_inside_a_route_keeps_its_status():
    app = create_flask(Served())

    @app.get("/refused")
    def refused() -> str:
        raise RequestError(418, "no")  # type: ignore[arg-type]

    assert answer(ask("GET", "/refused", app=app)) == (
        "418 I'M A TEAPOT",
        "application/json",
        {"message": "no"},
    )


def test_an_unforeseen_error_inside_a_route_is_answered_as_json():
    class Broken(Served):
        def metrics(self, accept: str) -> tuple[str, bytes]:
            raise RuntimeError("no metrics")

    status, content_type, body = answer(ask("GET", "/metrics", Broken()))

    assert (status, content_type) == ("500 INTERNAL SERVER ERROR", "application/json")
    assert body.keys() == {"message"}


def test_the_body_of_a_response_is_closed():
    app = create_flask(Served())
    closed: list[str] = []

    @app.get("/stream")
    def stream() -> flask.Response:
        response = flask.Response(iter(["a", "b"]))
        response.call_on_close(lambda: closed.append("closed"))
        return response

    assert (ask("GET", "/stream", app=app).body, closed) == (b"ab", ["closed"])


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("is_raw", [True, False])
def test_run_answers_get_and_post(method: str, is_raw: bool):
    assert score_method_reply(method, is_raw=is_raw) is None


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_a_raw_script_answers_more(method: str):
    assert score_method_reply(method, is_raw=True) is None


def test_options_of_score_are_answered_without_run():
    assert score_method_reply("OPTIONS", is_raw=False) == Reply(
        "200 OK",
        [
            ("Content-Type", HTML),
            ("Content-Length", "0"),
            ("x-ms-run-function-failed", "False"),
        ],
    )


@pytest.mark.parametrize(
    ("method", "is_raw", "message", "allowed"),
    [
        pytest.param("HEAD", False, "Method not allowed", "GET, OPTIONS, POST", id="head"),
        pytest.param("PUT", False, NOT_ALLOWED, "GET, OPTIONS, POST", id="put"),
        pytest.param("FOO", True, NOT_ALLOWED, "GET, HEAD, OPTIONS, POST", id="raw"),
    ],
)
def test_other_methods_of_score_are_refused(method: str, is_raw: bool, message: str, allowed: str):
    reply = score_method_reply(method, is_raw=is_raw)

    assert reply is not None
    assert answer(reply) == (
        "405 METHOD NOT ALLOWED",
        "application/json",
        {"message": message},
    )
    assert dict(reply.headers)["Allow"] == allowed


APP = create_flask(Served())


@few
@given(
    st.sampled_from(["GET", "HEAD", "OPTIONS", "POST", "PUT", "TRACE", "x"]),
    st.binary() | st.text(alphabet="/.score%?;\\\x00\u00e9").map(str.encode),
    st.text(alphabet="a=&%1\u00ff"),
    st.text(st.characters(max_codepoint=255, exclude_characters="\r\n")),
)
def test_any_path_is_answered(method: str, path: bytes, query: str, header: str):
    environ = create_environ("/", method=method, headers={"Accept": header})
    environ["PATH_INFO"] = path.decode("latin-1")
    environ["QUERY_STRING"] = query
    environ["HTTP_HOST"] = header

    reply = reply_from_flask(APP, environ)

    assert re.fullmatch(r"(200|308|400|404|405|503) [A-Z ]+", reply.status)
    for name, value in reply.headers:
        assert re.fullmatch(r"[A-Za-z-]+", name)
        assert re.fullmatch(r"[\t\x20-\x7e\x80-\xff]*", value)
