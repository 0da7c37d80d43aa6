"""Arguments from type hints: what fits is handed over checked, anything else is refused by path."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import logging
from http import HTTPStatus
from typing import Any, Literal, Optional

import numpy as np
import pandas as pd
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_server.binding import ScoringInput, TextBinding
from inference_server.errors import InvalidInputError, RequestError
from inference_server.typed_binding import TypedBinding
from tests.inference_server.support import binding_of, few, get, post


@dataclasses.dataclass
class Item:
    name: str
    weights: list[float] = dataclasses.field(default_factory=list)
    parent: Optional[Item] = None  # noqa: UP045 - both spellings are in use


class Person(pydantic.BaseModel):
    name: str
    age: int = 0
    friends: list[Person] = []


class Unit(enum.Enum):
    KG = "kg"
    LB = "lb"


class Opaque:
    pass


class WithOpaque(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)

    opaque: Opaque | None = None
    n: int


def run_dict(data: dict): ...
def run_floats(data: list[float]): ...
def run_named(x: list[float]): ...
def run_two(x: list[float], n: int = 1): ...
def run_required(x: int, name: str): ...
def run_item(item: Item): ...
def run_optional_item(item: Item | None): ...
def run_optional_dict(data: Optional[dict[str, int]] = None): ...  # noqa: UP045 - as above
def run_literal(unit: Literal["kg", "lb"], n: int | None = None): ...
def run_enum(unit: Unit): ...
def run_person(person: Person): ...
def run_people(people: list[Person]): ...
def run_array(x: np.ndarray): ...
def run_frame(frame: pd.DataFrame): ...
def run_frame_called_data(data: pd.DataFrame): ...
def run_optional_frame(frame: pd.DataFrame | None = None, n: int = 1): ...
def run_unannotated(a, b): ...
def run_headers(request_headers: dict, x: int): ...
def run_date(when: datetime.date): ...
def run_opaque(thing: Opaque): ...
def run_model_with_opaque(model: WithOpaque): ...
def run_text_or_number(x: str | int): ...


async def run_async(x: int) -> int:
    return x


class Callable:
    def __call__(self, x: int) -> list[int]:
        return [x]


def arguments_of(run: Any, request: ScoringInput) -> dict[str, Any]:
    binding = binding_of(run)
    assert isinstance(binding, TypedBinding)
    return binding.arguments(request)


def posted(run: Any, body: object) -> dict[str, Any]:
    return arguments_of(run, post(json.dumps(body).encode()))


@pytest.mark.parametrize(
    ("run", "body", "arguments"),
    [
        pytest.param(run_dict, {"a": [1]}, {"data": {"a": [1]}}, id="object as a whole"),
        pytest.param(run_dict, {"data": {}}, {"data": {"data": {}}}, id="object with the name"),
        pytest.param(run_floats, [1, 2.5], {"data": [1.0, 2.5]}, id="list as a whole"),
        pytest.param(run_floats, {"data": [1]}, {"data": [1.0]}, id="list by name"),
        pytest.param(run_named, {"x": [], "y": 1}, {"x": []}, id="other keys are left alone"),
        pytest.param(run_two, {"x": [1]}, {"x": [1.0]}, id="default left to run"),
        pytest.param(run_two, {"n": 2, "x": [1]}, {"x": [1.0], "n": 2}, id="default replaced"),
        pytest.param(run_required, {"x": 1, "name": "a"}, {"x": 1, "name": "a"}, id="by name"),
        pytest.param(run_item, {"name": "a"}, {"item": Item("a")}, id="dataclass"),
        pytest.param(
            run_item,
            {"name": "a", "weights": [1], "parent": {"name": "b"}},
            {"item": Item("a", [1.0], Item("b"))},
            id="nested dataclass",
        ),
        pytest.param(run_optional_item, {"name": "a"}, {"item": Item("a")}, id="optional given"),
        pytest.param(run_optional_item, None, {"item": None}, id="optional null"),
        pytest.param(run_optional_dict, {"a": 1}, {"data": {"a": 1}}, id="optional object"),
        pytest.param(run_literal, {"unit": "kg"}, {"unit": "kg"}, id="literal"),
        pytest.param(run_enum, "lb", {"unit": Unit.LB}, id="enum as a whole"),
        pytest.param(run_enum, {"unit": "kg"}, {"unit": Unit.KG}, id="enum by name"),
        pytest.param(run_person, {"name": "a"}, {"person": Person(name="a")}, id="pydantic"),
        pytest.param(
            run_people, [{"name": "a"}], {"people": [Person(name="a")]}, id="list of pydantic"
        ),
        pytest.param(run_unannotated, {"a": 1, "b": [2]}, {"a": 1, "b": [2]}, id="no hints"),
        pytest.param(run_date, "2020-01-02", {"when": datetime.date(2020, 1, 2)}, id="date"),
        pytest.param(run_async, 5, {"x": 5}, id="coroutine function"),
        pytest.param(Callable(), 5, {"x": 5}, id="callable object"),
        pytest.param(run_model_with_opaque, {"n": 1}, {"model": WithOpaque(n=1)}, id="no schema"),
        pytest.param(run_opaque, {"a": 1}, {"thing": {"a": 1}}, id="unknown type"),
        pytest.param(run_text_or_number, {"x": "1"}, {"x": "1"}, id="union"),
    ],
)
def test_a_body_that_fits_is_handed_over_checked(run: Any, body: object, arguments: dict[str, Any]):
    assert posted(run, body) == arguments


@pytest.mark.parametrize(
    ("body", "values"),
    [
        pytest.param([[1, 2], [3, 4]], [[1, 2], [3, 4]], id="table"),
        pytest.param({"x": [1.5]}, [1.5], id="by name"),
        pytest.param([], [], id="empty"),
        pytest.param(5, 5, id="number"),
        pytest.param(["a", "b"], ["a", "b"], id="texts"),
    ],
)
def test_an_array_is_made_of_lists(body: object, values: object):
    array = posted(run_array, body)["x"]

    assert isinstance(array, np.ndarray)
    assert array.tolist() == values


@pytest.mark.parametrize(
    "body",
    [
        pytest.param([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], id="records"),
        pytest.param({"a": [1, 2], "b": ["x", "y"]}, id="columns"),
        pytest.param({"columns": ["a", "b"], "data": [[1, "x"], [2, "y"]]}, id="split"),
        pytest.param(
            {"columns": ["a", "b"], "index": [0, 1], "data": [[1, "x"], [2, "y"]]},
            id="split with index",
        ),
    ],
)
@pytest.mark.parametrize("by_name", [False, True], ids=["whole", "by name"])
@pytest.mark.parametrize(
    ("run", "name"), [(run_frame, "frame"), (run_frame_called_data, "data")], ids=["frame", "data"]
)
def test_a_frame_is_made_of_records_or_columns(run: Any, name: str, by_name: bool, body: object):
    frame = posted(run, {name: body} if by_name else body)[name]

    assert frame.to_dict("records") == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


def test_a_frame_may_be_one_of_several_arguments():
    arguments = posted(run_optional_frame, {"frame": [{"a": 1}], "n": 2})

    assert (arguments["frame"].to_dict("records"), arguments["n"]) == ([{"a": 1}], 2)
    assert posted(run_optional_frame, {"n": 2}) == {"n": 2}
    assert posted(run_optional_frame, {"frame": None}) == {"frame": None}


@pytest.mark.parametrize(
    ("run", "body", "path", "message"),
    [
        pytest.param(
            run_two, {"x": [1, "a"]}, "$.x[1]", "Expected `float`, got `str`", id="inside a list"
        ),
        pytest.param(
            run_floats, ["a"], "$[0]", "Expected `float`, got `str`", id="in the body itself"
        ),
        pytest.param(
            run_two, {}, "$.x", "Object missing required field `x`", id="missing argument"
        ),
        pytest.param(
            run_item,
            {"name": "a", "parent": {"name": 5}},
            "$.parent.name",
            "Expected `str`, got `int`",
            id="nested dataclass",
        ),
        pytest.param(
            run_item,
            {"name": "a", "parent": {}},
            "$.parent.name",
            "Object missing required field `name`",
            id="missing field",
        ),
        pytest.param(
            run_literal, {"unit": "g"}, "$.unit", "Invalid enum value 'g'", id="no such literal"
        ),
        pytest.param(
            run_optional_dict,
            {"a": "b"},
            "$[...]",
            "Expected `int`, got `str`",
            id="value of an object",
        ),
        pytest.param(
            run_person,
            {"name": "a", "friends": [{"name": "b"}, {}]},
            "$.friends[1].name",
            "Field required",
            id="pydantic",
        ),
        pytest.param(
            run_people,
            [{"name": "a"}, {"name": []}],
            "$[1].name",
            "Input should be a valid string",
            id="pydantic in a list",
        ),
        pytest.param(
            run_array, {"x": {"a": 1}}, "$.x", "Expected `array`, got `object`", id="no array"
        ),
        pytest.param(run_array, "a", "$", "Expected `array`, got `str`", id="text for an array"),
        pytest.param(run_array, None, "$", "Expected `array`, got `null`", id="null for an array"),
        pytest.param(
            run_array,
            [1, None],
            "$",
            "Expected an array of numbers, of strings or of booleans",
            id="array with holes",
        ),
        pytest.param(
            run_frame,
            "a",
            "$",
            "Expected an array of records, or an object of columns",
            id="no frame",
        ),
        pytest.param(
            run_frame,
            {"a": 1},
            "$",
            "Expected what a DataFrame is made of: If using all scalar values, you must pass an "
            "index",
            id="scalars for a frame",
        ),
    ],
)
def test_a_body_that_does_not_fit_is_refused_with_its_place(
    run: Any, body: object, path: str, message: str
):
    with pytest.raises(InvalidInputError) as caught:
        posted(run, body)

    error = caught.value
    assert (error.status, error.path, error.message) == (422, path, message)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"x": 1', id="cut off"),
        pytest.param(b"\xff\xfe\x00", id="half a character of UTF-16"),
        pytest.param(b'{"x": "\xff"}', id="no UTF-8"),
        pytest.param(b'{"x": "\\ud800"}', id="half a surrogate pair"),
        pytest.param(b'{"x": ' + b"[" * 100_000, id="nested beyond reading"),
        pytest.param(b'{"x": NaN}', id="nan"),
        pytest.param(b"\x0b{}", id="a blank that JSON does not know"),
    ],
)
@pytest.mark.parametrize("run", [run_dict, run_frame])
def test_a_body_that_is_no_json_is_refused(run: Any, body: bytes):
    with pytest.raises(RequestError) as caught:
        arguments_of(run, post(body))

    assert caught.value.status == HTTPStatus.BAD_REQUEST
    assert caught.value.message.startswith("POST body could not be decoded as JSON: ")


@pytest.mark.parametrize("body", [b"", b" \r\n", b"\xef\xbb\xbf", b"\xff\xfe"])
def test_an_empty_body_is_refused(body: bytes):
    with pytest.raises(RequestError) as caught:
        arguments_of(run_dict, post(body))

    assert (caught.value.status, caught.value.message) == (
        HTTPStatus.BAD_REQUEST,
        "POST body is empty. Expecting JSON.",
    )


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"]
)
@pytest.mark.parametrize(
    ("run", "text", "arguments"),
    [
        pytest.param(run_dict, ' {"\u00e9": 1}', {"data": {"\u00e9": 1}}, id="object"),
        pytest.param(run_floats, "[1]", {"data": [1.0]}, id="list"),
        pytest.param(run_floats, '{"data": [1]}', {"data": [1.0]}, id="list by name"),
        pytest.param(run_async, "5", {"x": 5}, id="digit"),
    ],
)
def test_every_encoding_of_json_is_understood(
    run: Any, text: str, encoding: str, arguments: dict[str, Any]
):
    assert arguments_of(run, post(text.encode(encoding))) == arguments


@pytest.mark.parametrize(
    ("run", "query", "arguments"),
    [
        pytest.param(run_two, "x=[1,2]&n=3", {"x": [1.0, 2.0], "n": 3}, id="JSON values"),
        pytest.param(run_two, "x=1&x=2", {"x": [1.0, 2.0]}, id="repeated name"),
        pytest.param(run_required, "x=1&name=2", {"x": 1, "name": "2"}, id="text of digits"),
        pytest.param(run_required, "x=1&name=null", {"x": 1, "name": "null"}, id="the word null"),
        pytest.param(run_dict, "a=1&b=c", {"data": {"a": 1, "b": "c"}}, id="object"),
        pytest.param(run_item, "name=7", {"item": Item("7")}, id="dataclass"),
        pytest.param(run_person, "name=a&age=3", {"person": Person(name="a", age=3)}, id="model"),
    ],
)
def test_a_query_is_read_as_the_hints_say(run: Any, query: str, arguments: dict[str, Any]):
    assert arguments_of(run, get(query)) == arguments


def test_a_query_that_does_not_fit_is_refused_with_its_place():
    with pytest.raises(InvalidInputError) as caught:
        arguments_of(run_two, get("x=[1]&n=many"))

    assert (caught.value.path, caught.value.message) == ("$.n", "Expected `int`, got `str`")


def test_the_headers_are_handed_over_when_they_are_asked_for():
    arguments = posted(run_headers, {"x": 1, "request_headers": {"Host": "no"}})

    assert arguments["x"] == 1
    assert arguments["request_headers"]["Host"] == "localhost"


def test_the_log_says_how_run_is_called():
    assert binding_of(run_two).description == (
        "run() has type hints. Server will check the input against them and invoke it with the "
        "following arguments: x, n."
    )


def test_hints_that_cannot_be_evaluated_are_not_used(caplog: pytest.LogCaptureFixture):
    def run(data: NoSuchName): ...  # type: ignore[name-defined] # noqa: F821

    with caplog.at_level(logging.WARNING):
        binding = binding_of(run)

    assert isinstance(binding, TextBinding)
    assert caplog.messages[0] == (
        "The type hints of run() are not used: NameError: name 'NoSuchName' is not defined"
    )


def test_a_hint_that_cannot_be_checked_is_left_alone(caplog: pytest.LogCaptureFixture):
    def run(a: Opaque, n: int): ...

    with caplog.at_level(logging.WARNING):
        arguments = posted(run, {"a": "anything", "n": 1})

    assert arguments == {"a": "anything", "n": 1}
    assert caplog.messages == [
        "The type hint of a is not checked: JSON has no form for the type `Opaque`"
    ]


def test_a_model_without_a_json_schema_is_described_as_an_object(
    caplog: pytest.LogCaptureFixture,
):
    with caplog.at_level(logging.WARNING):
        schemas = binding_of(run_model_with_opaque).schemas

    assert schemas.input == {"type": "object"}
    assert caplog.messages[0].startswith("There is no JSON Schema for WithOpaque: ")


@pytest.mark.parametrize(
    ("run", "schema"),
    [
        pytest.param(
            run_array, {"type": "array", "items": {}}, id="array"
        ),
        pytest.param(
            run_frame, {"type": "array", "items": {"type": "object"}}, id="frame"
        ),
        pytest.param(run_opaque, {}, id="anything"),
        pytest.param(
            run_floats, {"type": "array", "items": {"type": "number"}}, id="list"
        ),
    ],
)  # fmt: skip
def test_the_hints_describe_the_input(run: Any, schema: dict[str, Any]):
    assert binding_of(run).schemas.input == schema


def test_definitions_of_nested_models_stand_at_the_top():
    schema = binding_of(run_people).schemas.input

    assert schema["items"] == {"$ref": "#/$defs/Person"}
    assert schema["$defs"].keys() == {"Person"}


def test_what_run_returns_is_described_too():
    def run(x: int) -> list[int]: ...  # type: ignore[empty-body]

    def run_odd(x: int) -> complex: ...  # type: ignore[empty-body]

    assert binding_of(run).schemas.output == {"type": "array", "items": {"type": "integer"}}
    assert binding_of(run_odd).schemas.output == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["x", "n", "data", "name", "unit", "columns", "age"]) | st.text(),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


def is_a(kind: Any) -> Any:
    return lambda value: isinstance(value, kind)


def is_floats(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, float) for item in value)


SIGNATURES: list[Any] = [
    pytest.param(run_dict, {"data": is_a(dict)}, id="dict"),
    pytest.param(run_floats, {"data": is_floats}, id="list of floats"),
    pytest.param(run_two, {"x": is_floats, "n": is_a(int)}, id="list and integer"),
    pytest.param(run_item, {"item": is_a(Item)}, id="dataclass"),
    pytest.param(run_optional_item, {"item": is_a(Item | None)}, id="optional"),
    pytest.param(
        run_literal,
        {"unit": lambda value: value in ("kg", "lb"), "n": is_a(int | None)},
        id="literal",
    ),
    pytest.param(run_person, {"person": is_a(Person)}, id="pydantic"),
    pytest.param(run_array, {"x": is_a(np.ndarray)}, id="array"),
    pytest.param(run_frame, {"frame": is_a(pd.DataFrame)}, id="frame"),
    pytest.param(run_unannotated, {"a": is_a(object), "b": is_a(object)}, id="no hints"),
    pytest.param(run_headers, {"request_headers": is_a(dict), "x": is_a(int)}, id="headers"),
]
BINDINGS = {id(p.values[0]): binding_of(p.values[0]) for p in SIGNATURES}


def check_any_input(run: Any, checks: dict[str, Any], request: ScoringInput) -> None:
    """The arguments satisfy the hints, or the request is refused with a status of its own."""
    try:
        arguments = BINDINGS[id(run)].arguments(request)
    except RequestError as error:
        status = int(error.status)
        assert status in {400, 415, 422}
        return
    assert [name for name, value in arguments.items() if not checks[name](value)] == []


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("run", "checks"), SIGNATURES)
def test_any_input_fits_the_hints_or_is_refused(run: Any, checks: dict[str, Any]):
    @few
    @given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
    def any_body(body: bytes) -> None:
        check_any_input(run, checks, post(body))

    @few
    @given(st.text() | st.text(alphabet='xnadtm1&=%+[]{}",:'))
    def any_query(query: str) -> None:
        check_any_input(run, checks, get(query.encode().decode("latin-1")))

    any_body()
    any_query()
