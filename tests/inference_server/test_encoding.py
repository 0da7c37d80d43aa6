"""Return values as JSON: as `json.dumps` where it can, and valid JSON or a clear refusal always."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import json
import math
import pathlib
import types
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from inference_server.encoding import MAX_DEPTH, UnserialisableError, encode_json
from tests.inference_server.support import few

UTC = datetime.timezone.utc


def decoded(value: Any) -> Any:
    """What a strict client reads."""

    def refuse(constant: str) -> Any:
        raise AssertionError(f"`{constant}` is not JSON")

    return json.loads(encode_json(value), parse_constant=refuse)


@dataclasses.dataclass
class Point:
    x: Any
    y: Any = None


@dataclasses.dataclass
class Row(collections.abc.Sequence):
    cells: list[int]

    def __getitem__(self, index: Any) -> Any:
        return self.cells[index]

    def __len__(self) -> int:
        return len(self.cells)


class Model(pydantic.BaseModel):
    name: str
    score: float


class Items(pydantic.RootModel[list[int]]):
    def __len__(self) -> int:
        return len(self.root)

    def __contains__(self, item: object) -> bool:
        return item in self.root


class Pair(NamedTuple):
    first: int
    second: str


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Word(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "not the text"


class Lookup(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        return len(key)

    def __iter__(self) -> Iterator[str]:
        return iter(["a", "bb"])

    def __len__(self) -> int:
        return 2


class Tensor:
    def tolist(self) -> list[int]:
        return [1, 2]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]], id="array"),
        pytest.param(np.array(5), 5, id="array without dimensions"),
        pytest.param(np.float32(0.5), 0.5, id="numpy float"),
        pytest.param(np.int64(7), 7, id="numpy integer"),
        pytest.param(np.bool_(True), True, id="numpy boolean"),
        pytest.param(np.str_("a"), "a", id="numpy text"),
        pytest.param(np.bytes_(b"ab"), "YWI=", id="numpy bytes"),
        pytest.param(np.array([1.0, math.nan, math.inf]), [1.0, None, None], id="array with nan"),
        pytest.param(np.array(["a", "b"]), ["a", "b"], id="array of texts"),
        pytest.param(
            np.array(["2020-01-02", "NaT"], "M8[D]"), ["2020-01-02", None], id="array of dates"
        ),
        pytest.param(np.array([["NaT"]], "M8[D]"), [[None]], id="table of dates"),
        pytest.param(np.array("2020-01-02", "M8[D]"), "2020-01-02", id="date in an array"),
        pytest.param(np.datetime64("2020-01-02"), "2020-01-02", id="numpy date"),
        pytest.param(np.datetime64("NaT", "D"), None, id="no numpy date"),
        pytest.param(np.timedelta64(5, "s"), "5 seconds", id="numpy duration"),
        pytest.param(
            pd.DataFrame({"a": [1, 2], "b": ["x", None]}),
            [{"a": 1, "b": "x"}, {"a": 2, "b": None}],
            id="frame",
        ),
        pytest.param(pd.DataFrame({1: [0.5, math.nan]}), [{"1": 0.5}, {"1": None}], id="numbered"),
        pytest.param(pd.Series([1.5, math.nan]), [1.5, None], id="series"),
        pytest.param(pd.Index(["a"]), ["a"], id="index"),
        pytest.param(pd.Categorical(["a", "b"]), ["a", "b"], id="categories"),
        pytest.param(pd.Timestamp("2020-01-02T03:04:05"), "2020-01-02T03:04:05", id="timestamp"),
        pytest.param([pd.NaT, pd.NA], [None, None], id="missing values"),
        pytest.param(datetime.date(2020, 1, 2), "2020-01-02", id="date"),
        pytest.param(datetime.time(3, 4), "03:04:00", id="time"),
        pytest.param(
            datetime.datetime(2020, 1, 2, 3, 4, tzinfo=UTC), "2020-01-02T03:04:00+00:00", id="zone"
        ),
        pytest.param(datetime.timedelta(seconds=90), "PT90S", id="duration"),
        pytest.param(decimal.Decimal("1.50"), "1.50", id="decimal"),
        pytest.param(uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001", id="uuid"),
        pytest.param(b"\x00\xff", "AP8=", id="bytes"),
        pytest.param(bytearray(b"ab"), "YWI=", id="bytearray"),
        pytest.param(memoryview(b"ab"), "YWI=", id="memoryview"),
        pytest.param({3}, [3], id="set"),
        pytest.param(frozenset(), [], id="empty set"),
        pytest.param(collections.deque([1, 2]), [1, 2], id="deque"),
        pytest.param(range(3), [0, 1, 2], id="range"),
        pytest.param({"a": 1}.keys(), ["a"], id="keys"),
        pytest.param(array.array("d", [0.5]), [0.5], id="array of the standard library"),
        pytest.param(types.MappingProxyType({"a": 1}), {"a": 1}, id="read-only dict"),
        pytest.param(Lookup(), {"a": 1, "bb": 2}, id="mapping"),
        pytest.param(Point(1, [Point(2)]), {"x": 1, "y": [{"x": 2, "y": None}]}, id="dataclass"),
        pytest.param(Row([1]), {"cells": [1]}, id="dataclass that is a sequence too"),
        pytest.param(Model(name="a", score=0.5), {"name": "a", "score": 0.5}, id="pydantic"),
        pytest.param(Items([1]), [1], id="pydantic model that is a collection too"),
        pytest.param(Pair(1, "b"), [1, "b"], id="named tuple"),
        pytest.param(Colour.RED, "red", id="enum"),
        pytest.param(Level.HIGH, 3, id="integer enum"),
        pytest.param(Word("the text"), "the text", id="text of a class of its own"),
        pytest.param([Word("a"), math.nan], ["a", None], id="the same on the long way"),
        pytest.param(pathlib.PurePosixPath("a/b"), "a/b", id="path"),
        pytest.param(Tensor(), [1, 2], id="anything with tolist"),
        pytest.param((1, (2,)), [1, [2]], id="tuples"),
    ],
)
def test_a_rich_value_has_a_json_form(value: Any, expected: Any):
    assert decoded(value) == expected


@pytest.mark.parametrize("deeper", [lambda v: [v], lambda v: {"k": (v, math.nan)}])
def test_rich_values_are_found_at_any_depth(deeper: Any):
    value = Point(np.array([1]), {"inner": pd.Series([2])})

    assert decoded(deeper(value)) == json.loads(
        json.dumps(deeper({"x": [1], "y": {"inner": [2]}})).replace("NaN", "null")
    )


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        pytest.param("a", "a", id="text"),
        pytest.param(1, "1", id="integer"),
        pytest.param(1.5, "1.5", id="float"),
        pytest.param(math.nan, "NaN", id="nan"),
        pytest.param(True, "true", id="boolean"),
        pytest.param(None, "null", id="none"),
        pytest.param(np.int64(3), "3", id="numpy integer"),
        pytest.param(np.str_("s"), "s", id="numpy text"),
        pytest.param(np.float32(0.5), "0.5", id="numpy float"),
        pytest.param(np.bool_(True), "true", id="numpy boolean"),
        pytest.param(datetime.date(2020, 1, 2), "2020-01-02", id="date"),
        pytest.param(pd.Timestamp("2020-01-02"), "2020-01-02T00:00:00", id="timestamp"),
        pytest.param(uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001", id="uuid"),
        pytest.param(Colour.RED, "red", id="enum"),
        pytest.param(b"ab", "YWI=", id="bytes"),
        pytest.param(decimal.Decimal("1.5"), "1.5", id="decimal"),
        pytest.param(pd.NaT, "null", id="missing value"),
    ],
)
def test_a_key_becomes_text(key: Any, expected: str):
    assert decoded({key: [np.int64(1)]}) == {expected: [1]}


class Broken:
    """Fails in whatever way an encoder might ask it."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    @property
    def dtype(self) -> Any:
        raise RuntimeError("no dtype")


class BrokenModel:
    def model_dump(self) -> Any:
        raise KeyError("a field")


class BrokenList(list):
    def __iter__(self) -> Any:
        raise RuntimeError("no items")


class WithItem:
    def item(self, required: Any) -> Any:
        return required


def nested(depth: int) -> Any:
    value: Any = math.nan
    for _ in range(depth):
        value = [value]
    return value


CYCLE: dict[str, Any] = {}
CYCLE["self"] = [CYCLE]

FORMS = (
    "return numbers, strings, lists, dicts, numpy or pandas objects, dates, dataclasses, or an "
    "AMLResponse"
)


@pytest.mark.parametrize(
    ("value", "message", "path"),
    [
        pytest.param(object(), f"a value of type `object` has no JSON form: {FORMS}", "$", id="it"),
        pytest.param(
            {"a": [1, {"b": 1j}]},
            f"a value of type `complex` has no JSON form: {FORMS}",
            "$.a[1].b",
            id="deep inside",
        ),
        pytest.param(
            np.array([1j]),
            f"a value of type `complex` has no JSON form: {FORMS}",
            "$[0]",
            id="array",
        ),
        pytest.param(int, f"a value of type `type` has no JSON form: {FORMS}", "$", id="class"),
        pytest.param({"a": {(1, 2): 3}}, "a key of type `tuple` has no JSON form", "$.a", id="key"),
        pytest.param(
            {WithItem(): 1},
            f"a value of type `WithItem` has no JSON form: {FORMS}",
            "$",
            id="key with a method called item",
        ),
        pytest.param(
            nested(MAX_DEPTH + 1),
            f"nested deeper than {MAX_DEPTH} levels, or a cycle",
            "$",
            id="deep",
        ),
        pytest.param(CYCLE, f"nested deeper than {MAX_DEPTH} levels, or a cycle", "$", id="cycle"),
        pytest.param(
            {"n": 10**5000}, "an integer of thousands of digits", "$.n", id="huge integer"
        ),
        pytest.param(
            [Broken()],
            "a value of type `Broken` could not be turned into JSON: RuntimeError was raised",
            "$[0]",
            id="value that raises",
        ),
        pytest.param(
            {"m": BrokenModel()},
            "a value of type `BrokenModel` could not be turned into JSON: KeyError was raised",
            "$.m",
            id="model that raises",
        ),
        pytest.param(
            {Broken(): 1},
            "a value of type `dict` could not be turned into JSON: RuntimeError was raised",
            "$",
            id="key that raises",
        ),
        pytest.param(
            [math.nan, BrokenList([1])],
            "a value of type `BrokenList` could not be turned into JSON: RuntimeError was raised",
            "$[1]",
            id="list that raises",
        ),
    ],
)
def test_a_value_without_a_json_form_is_refused_with_its_place(value: Any, message: str, path: str):
    with pytest.raises(UnserialisableError) as caught:
        encode_json(value)

    assert (str(caught.value), caught.value.path) == (message, path)


def test_what_the_users_own_method_raised_is_kept():
    with pytest.raises(UnserialisableError) as caught:
        encode_json(BrokenModel())

    assert isinstance(caught.value.__cause__, KeyError)


def test_what_is_nested_as_deep_as_allowed_is_encoded():
    assert encode_json(nested(MAX_DEPTH)) == b"[" * MAX_DEPTH + b"null" + b"]" * MAX_DEPTH


def test_plain_values_may_be_nested_deeper():
    value: list[Any] = []
    for _ in range(300):
        value = [value]

    assert encode_json(value) == json.dumps(value).encode()


@pytest.mark.parametrize(
    ("nan_as_null", "expected"),
    [
        pytest.param(True, b'[null, null, null, {"a": [1]}]', id="null"),
        pytest.param(False, b'[NaN, Infinity, -Infinity, {"a": [1]}]', id="literal"),
    ],
)
def test_nan_is_written_as_configured(nan_as_null: bool, expected: bytes):
    value = [math.nan, math.inf, -math.inf, {"a": np.array([1])}]

    assert encode_json(value, nan_as_null=nan_as_null) == expected


def test_a_system_exit_inside_a_value_is_not_swallowed():
    class Leaving:
        def model_dump(self) -> Any:
            raise SystemExit(3)

    with pytest.raises(SystemExit):
        encode_json(Leaving())


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)

KEYS = (
    st.text()
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.none()
    | st.binary()
    | st.dates()
    | st.uuids()
    | st.tuples(st.integers())
    | st.sampled_from([Colour.RED, Level.HIGH, object(), int, np.int64(1), WithItem()])
)

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text()
    | st.binary()
    | st.dates()
    | st.times()
    | st.datetimes(timezones=st.none() | st.just(UTC))
    | st.timedeltas()
    | st.decimals()
    | st.uuids()
    | st.fractions()
    | st.just(5000).map(lambda digits: 10**digits)
    | hnp.arrays(
        hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3)
    )
    | st.sampled_from(
        [Colour.RED, Colour, Level.HIGH, object(), int, len, Broken(), BrokenModel(), Tensor(),
         WithItem(), Lookup(), pd.NaT, pd.NA, range(2), iter([1]), CYCLE, ...,
         pd.Series([1, None]), Model(name="a", score=1), ValueError("x"), memoryview(b"a")]
    )
)  # fmt: skip

ANYTHING = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.lists(inner, max_size=3).map(collections.deque)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.dictionaries(KEYS, inner, max_size=3).map(types.MappingProxyType)
        | st.builds(Point, inner, inner)
    ),
    max_leaves=8,
)


@few
@given(PLAIN)
def test_a_plain_value_is_written_as_json_dumps_writes_it(value: Any):
    assert encode_json(value) == json.dumps(value).encode("ascii")


@few
@given(PLAIN)
def test_a_plain_value_comes_back_as_it_was_also_from_the_long_way(value: Any):
    assert decoded([value, math.nan, {1}]) == [value, None, [1]]


@few
@given(ANYTHING, st.booleans())
def test_any_value_is_valid_json_or_refused_with_its_place(value: Any, nan_as_null: bool):
    try:
        body = encode_json(value, nan_as_null=nan_as_null)
    except UnserialisableError as error:
        place, text = error.path, str(error)
        assert (place[:1], bool(text)) == ("$", True)
    else:
        if nan_as_null:
            decoded(value)
        json.loads(body.decode("ascii"))


@few
@given(st.sets(st.integers() | st.text()))
def test_a_set_keeps_its_members(value: set[Any]):
    assert {*decoded(value)} == value


@few
@given(hnp.arrays(np.int64, hnp.array_shapes(max_dims=3, max_side=4)))
def test_an_array_comes_back_as_it_was(value: Any):
    assert np.array_equal(decoded(value), value)
