"""The decorator for raw requests and the class that annotates them."""

from __future__ import annotations

import functools
from typing import Any

import flask
import pytest

from inference_server.api import AMLRequest, rawhttp
from inference_server.api.aml_request import is_rawhttp


def test_the_decorator_returns_the_function_itself():
    def run(request):
        return request

    assert rawhttp(run) is run
    assert is_rawhttp(run)


def test_the_mark_belongs_to_one_function_only():
    def other(request):
        return request

    rawhttp(lambda request: request)

    assert not is_rawhttp(other)


def test_a_decorator_around_does_not_hide_the_mark():
    def run(request: Any) -> Any:
        return request

    inner = rawhttp(run)

    @functools.wraps(inner)
    def outer(request: Any) -> Any:
        return inner(request)

    assert is_rawhttp(outer)


def test_a_bound_method_may_be_decorated():
    class Model:
        def predict(self, request: Any) -> Any:
            return request

    predict = rawhttp(Model().predict)

    assert is_rawhttp(predict)
    assert predict("x") == "x"


def test_the_request_class_only_annotates():
    assert issubclass(AMLRequest, flask.Request)
    with pytest.raises(TypeError, match=r"run\(\) receives flask.request"):
        AMLRequest()
