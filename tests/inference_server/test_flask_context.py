"""Flask's globals in run(), whichever way Flask keeps them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask
import pytest
from werkzeug.test import create_environ

from inference_server.flask_context import LazyFlaskContext, PushedFlaskContext
from inference_server.request_ids import RequestIds

APP = flask.Flask("test")
APP.add_url_rule("/score", "score", methods=["POST"])
IDS = RequestIds("A", "B", "C")


Kind = type[LazyFlaskContext | PushedFlaskContext]


@pytest.fixture(params=[LazyFlaskContext, PushedFlaskContext])
def kind(request: pytest.FixtureRequest) -> Kind:
    """For Flask as it is, and for a Flask that keeps its context elsewhere."""
    return request.param


@pytest.fixture
def context(kind: Kind) -> Callable[..., Any]:
    def make(ids: RequestIds | None = IDS, **environ: Any) -> Any:
        made = create_environ("/score?x=1", method="POST", data=b"body", headers={"X-A": "1"})
        return kind(APP, {**made, **environ}, ids)

    return make


def test_the_request_is_there(context: Callable[..., Any]):
    with context():
        assert flask.request.method == "POST"
        assert flask.request.args["x"] == "1"
        assert flask.request.headers["X-A"] == "1"
        assert flask.request.get_data() == b"body"
        assert flask.request.url_rule is not None
        assert flask.request.url_rule.endpoint == "score"
        assert flask.has_request_context()


def test_the_application_and_the_ids_are_there(context: Callable[..., Any]):
    with context():
        assert flask.current_app.name == "test"
        assert (flask.g.request_id, flask.g.legacy_request_id, flask.g.client_request_id) == (
            "A",
            "B",
            "C",
        )


def test_a_request_may_have_no_ids(context: Callable[..., Any]):
    with context(None):
        assert "request_id" not in flask.g


def test_g_keeps_what_a_script_puts_there_for_one_request(context: Callable[..., Any]):
    with context():
        flask.g.mine = 5
        assert flask.g.mine == 5
    with context():
        assert "mine" not in flask.g


def test_urls_can_be_built(context: Callable[..., Any]):
    with context():
        assert flask.url_for("score") == "/score"


def test_a_response_can_be_made(context: Callable[..., Any]):
    with context():
        assert flask.jsonify(a=1).get_json() == {"a": 1}


def test_outside_there_is_nothing(context: Callable[..., Any]):
    with context():
        pass

    assert not flask.has_request_context()
    assert not flask.has_app_context()
    with pytest.raises(RuntimeError):
        _ = flask.request.method


def test_an_error_inside_leaves_nothing_behind(context: Callable[..., Any]):
    with pytest.raises(ZeroDivisionError), context():
        _ = 1 / 0

    assert not flask.has_request_context()


def test_a_script_may_push_a_context_of_its_own(context: Callable[..., Any]):
    other = flask.Flask("other")

    with context():
        with other.app_context():
            assert flask.current_app.name == "other"
        assert flask.current_app.name == "test"
