"""Scripts decorated with the public `inference_schema` package."""

from __future__ import annotations

import datetime
import functools
import importlib
import json
import sys
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_server.api.aml_request import rawhttp
from inference_server.binding import SchemaBinding, choose_binding
from inference_server.errors import InvalidInputError, RequestError, ScriptError
from inference_server.inference_schema_support import (
    mend_on_import,
    payload_schemas,
    schema_function,
)
from tests.inference_server.support import call, few, get, post, scoring_of, script_of

NAMES = (
    "inference_schema",
    "inference_schema.schema_decorators",
    "inference_schema.schema_util",
    "inference_schema.parameter_types",
    "inference_schema.parameter_types.standard_py_parameter_type",
)


@pytest.fixture(autouse=True, params=["imported later", "imported before"])
def package(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package as the server finds it, mended; and nothing of it left behind."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "inference_schema"]:
        monkeypatch.delitem(sys.modules, name)
    if request.param == "imported before":
        sys.meta_path[:] = [f for f in sys.meta_path if type(f).__name__ != "_MendingFinder"]
        for name in NAMES:
            importlib.import_module(name)
    mend_on_import()
    mend_on_import()
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "inference_schema"]:
        del sys.modules[name]


def decorators() -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    from inference_schema.parameter_types.standard_py_parameter_type import (
        StandardPythonParameterType,
    )
    from inference_schema.schema_decorators import input_schema, output_schema

    return input_schema, output_schema, StandardPythonParameterType


def decorated_run(sample: object = 1) -> Callable[..., Any]:
    input_schema, output_schema, sample_type = decorators()

    @input_schema("x", sample_type(sample))
    @output_schema(sample_type("text"))
    def run(x: Any, n: int = 3, request_headers: Any = None) -> Any:
        return [x, n]

    return run


def bound(run: Callable[..., Any], body: object) -> dict[str, Any]:
    return SchemaBinding(script_of(run), payload_schemas(run)).arguments(
        post(json.dumps(body).encode())
    )


def with_closure(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that also closes over something that is no function."""
    calls: list[str] = []

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        calls.append("called")
        return function(*args, **kwargs)

    return wrapper


def test_a_decorated_function_is_found():
    run = decorated_run()

    assert schema_function(run) is not None
    assert schema_function(lambda data: data) is None


def test_without_the_package_nothing_is_decorated(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "inference_schema.schema_util", raising=False)

    assert schema_function(lambda data: data) is None
    assert "inference_schema.schema_util" not in sys.modules


def test_a_package_that_is_not_installed_is_not_made_up():
    (finder,) = [f for f in sys.meta_path if type(f).__name__ == "_MendingFinder"]

    assert finder.find_spec("inference_schema.schema_decorators", []) is None


def test_a_decorator_above_does_not_hide_the_schema():
    run = with_closure(decorated_run())

    assert schema_function(run) is not None
    assert isinstance(choose_binding(script_of(run)), SchemaBinding)


def test_a_decorator_below_does_not_hide_the_function():
    input_schema, _, sample_type = decorators()

    @input_schema("x", sample_type(1))
    @with_closure
    def run(x: int) -> int:
        return x

    assert bound(run, {"x": 5}) == {"x": 5}
    assert run(x=5) == 5


def test_a_decorator_without_wraps_below_does_not_hide_the_function():
    input_schema, _, sample_type = decorators()

    def plain(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(x: int) -> Any:
            return function(x=x)

        return wrapper

    @input_schema("x", sample_type(1))
    @plain
    def run(x: int) -> int:
        return x

    assert run(x=5) == 5


def test_a_name_without_a_value_yet_is_no_function():
    input_schema, _, sample_type = decorators()

    def make() -> Any:
        @input_schema("x", sample_type(1))
        def run(x: int) -> Any:
            return later(x)

        later = str
        return run

    assert make()(x=5) == "5"


def test_the_documents_are_those_of_the_decorators():
    schemas = payload_schemas(decorated_run(7))

    assert schemas.input["properties"]["x"] == {"type": "integer", "format": "int64"}
    assert schemas.input["example"] == {"x": 7, "n": "", "request_headers": ""}
    assert schemas.output == {"type": "string", "example": "text"}


def test_the_mode_is_announced_with_the_arguments():
    binding = choose_binding(script_of(decorated_run()))

    assert binding.description == (
        "run() is decorated with @input_schema. Server will invoke it with the following "
        "arguments: x, n."
    )


def test_raw_and_schema_do_not_go_together():
    run = rawhttp(decorated_run())

    with pytest.raises(ScriptError) as caught:
        choose_binding(script_of(run, is_raw=True))

    assert str(caught.value) == "run() cannot be decorated with both @rawhttp and @input_schema"
    path, _, line = str(caught.value.location).rpartition(":")
    assert (path, int(line) > 1) == (__file__, True)


@pytest.mark.parametrize(
    ("body", "arguments"),
    [
        pytest.param({"x": 1}, {"x": 1, "n": 3}, id="default"),
        pytest.param({"x": 1, "n": 4, "more": 5}, {"x": 1, "n": 4}, id="extra keys"),
        pytest.param({"x": None}, {"x": None, "n": 3}, id="null"),
    ],
)
def test_the_keys_of_the_body_are_the_arguments(body: object, arguments: dict[str, Any]):
    found = bound(decorated_run(), body)

    assert found.pop("request_headers")["Content-Type"] == "application/json"
    assert found == arguments


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=utf-8", "application/ld+json"]
)
def test_every_spelling_of_json_is_understood(encoding: str, content_type: str):
    binding = choose_binding(script_of(decorated_run()))

    arguments = binding.arguments(post('{"x": "\u00e9"}'.encode(encoding), content_type))

    assert arguments["x"] == "\u00e9"


@pytest.mark.parametrize(
    ("body", "content_type", "status", "message"),
    [
        pytest.param(b"{}", "", 415, "Expects Content-Type to be application/json", id="no type"),
        pytest.param(
            b"{}", "text/json", 415, "Expects Content-Type to be application/json", id="other type"
        ),
        pytest.param(
            b"",
            "application/json",
            400,
            "POST body is empty. Expecting a JSON dictionary.",
            id="empty",
        ),
        pytest.param(
            b"{a}",
            "application/json",
            400,
            "POST body could not be decoded as JSON: Expecting property name enclosed in double "
            "quotes: line 1 column 2 (char 1)",
            id="no JSON",
        ),
        pytest.param(
            b'{"x": "\xff"}',
            "application/json",
            400,
            "POST body could not be decoded as JSON: 'utf-8' codec can't decode byte 0xff in "
            "position 7: invalid start byte",
            id="no UTF-8",
        ),
        pytest.param(
            b"[1]", "application/json", 400, "POST body should be a JSON dictionary.", id="list"
        ),
        pytest.param(
            b"{}",
            "application/json",
            400,
            "A value is not provided for the 'x' parameter.",
            id="missing",
        ),
    ],
)
def test_a_body_that_cannot_be_used_is_refused(
    body: bytes, content_type: str, status: int, message: str
):
    with pytest.raises(RequestError) as caught:
        choose_binding(script_of(decorated_run())).arguments(post(body, content_type))

    assert (caught.value.status, caught.value.message) == (status, message)


def test_a_body_nested_beyond_reading_is_refused():
    with pytest.raises(RequestError) as caught:
        choose_binding(script_of(decorated_run())).arguments(post(b"[" * 100_000))

    assert caught.value.status == HTTPStatus.BAD_REQUEST


def test_a_query_gives_the_arguments_of_a_get():
    binding = choose_binding(script_of(decorated_run()))

    assert binding.arguments(get("x=[1]&n=2")) == {
        "x": [1],
        "n": 2,
        "request_headers": {"Host": "localhost"},
    }


def test_a_value_that_does_not_fit_its_sample_is_refused_with_its_place():
    with pytest.raises(InvalidInputError) as caught:
        decorated_run()(x="text")

    error = caught.value
    assert (error.status, error.path, error.error_type) == (422, "$.x", "ValueError")
    assert error.message.startswith("The value of 'x' does not fit its schema: Invalid input data")
    assert isinstance(error.__cause__, ValueError)


@pytest.mark.parametrize(
    ("sample", "value", "converted"),
    [
        pytest.param(datetime.date(2020, 1, 1), "2021-02-03", datetime.date(2021, 2, 3), id="date"),
        pytest.param(b"sample", "YWI=", b"ab", id="bytes"),
        pytest.param(1.5, 2, 2, id="float"),
    ],
)
def test_a_value_is_converted_to_the_type_of_its_sample(sample: Any, value: Any, converted: Any):
    assert decorated_run(sample)(x=value) == [converted, 3]


def test_a_date_that_is_none_is_refused_with_its_place():
    with pytest.raises(InvalidInputError) as caught:
        decorated_run(datetime.date(2020, 1, 1))(x="soon")

    assert caught.value.path == "$.x"


def test_any_body_is_answered():
    scoring = scoring_of(decorated_run())

    @few
    @given(st.binary() | JSON_OBJECTS.map(lambda value: json.dumps(value).encode()))
    def answer(body: bytes) -> None:
        reply, _ = scoring.answer(post(body), call)

        assert reply.code in {200, 400, 422}
        assert isinstance(json.loads(reply.body), dict | list)

    answer()


JSON_OBJECTS = st.dictionaries(
    st.sampled_from(["x", "n", "request_headers"]), st.none() | st.integers() | st.text()
)
