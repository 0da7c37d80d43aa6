"""Arrays and data frames described with inference-schema."""

from __future__ import annotations

import json

import pytest

from tests.contract.support import expected_of, requires, shared_server
from tests.servers import ServerProcess

requires("inference_schema", "numpy", "pandas")

array = shared_server("schema_numpy.py")
frame = shared_server("schema_pandas.py")


def test_a_list_becomes_an_array_of_the_samples_type(array: ServerProcess) -> None:
    response = array.score('{"data": [[1, 2], [3, 4], [5, 6]]}')

    assert response.json() == ["ndarray", "float64", [3, 2], [3.0, 7.0, 11.0]]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param([[1, 2, 3]], id="columns"),
        pytest.param([1, 2], id="dimensions"),
        pytest.param(7, id="no list"),
        pytest.param([["a", "b"]], id="type"),
    ],
)
def test_a_list_that_does_not_fit_the_sample_is_refused(array: ServerProcess, data: object) -> None:
    response = array.score(json.dumps({"data": data}))

    assert response.status == expected_of(reference=500, ours=422)


def test_get_fills_an_array_from_the_query(array: ServerProcess) -> None:
    assert array.get("/score?data=[[1,2]]").json() == ["ndarray", "float64", [1, 2], [3.0]]


def test_records_become_a_data_frame(frame: ServerProcess) -> None:
    response = frame.score('{"frame": [{"a": 5, "b": "y"}, {"a": 6, "b": "z"}]}')

    kind, (first, second), rows = response.json()
    assert (kind, first) == ("DataFrame", "int64")
    assert second in {"object", "str"}
    assert rows == [{"a": 5, "b": "y"}, {"a": 6, "b": "z"}]


def test_records_with_other_columns_are_refused(frame: ServerProcess) -> None:
    response = frame.score('{"frame": [{"a": 5, "b": "y", "c": 1}]}')

    assert response.status == expected_of(reference=500, ours=422)
