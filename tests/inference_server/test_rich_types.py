"""Types that msgspec leaves to others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pydantic
import pytest

from inference_server.rich_types import from_json, is_frame, schema_of_type


class Person(pydantic.BaseModel):
    names: list[dict[str, int]]


class Strict:
    """Looks like a model of pydantic, and raises what pydantic does not."""

    @classmethod
    def model_validate(cls, value: object) -> object:
        raise ValueError(f"never {value}")


class Other:
    pass


def test_frames_are_told_from_other_types():
    assert [is_frame(kind) for kind in (pd.DataFrame, pd.Series, np.ndarray, None, 5)] == [
        True,
        False,
        False,
        False,
        False,
    ]


def test_a_model_is_validated_and_the_first_problem_told_with_its_place():
    assert from_json(Person, {"names": [{"a": 1}]}) == Person(names=[{"a": 1}])

    with pytest.raises(ValueError, match=r".") as caught:
        from_json(Person, {"names": [{}, {"a": "b"}]})

    assert str(caught.value) == (
        "Input should be a valid integer, unable to parse string as an integer - at `$.names[1].a`"
    )


def test_what_a_validator_says_by_itself_is_kept():
    with pytest.raises(ValueError, match=r"^never 5$"):
        from_json(Strict, 5)


def test_an_unknown_type_is_not_made_up():
    with pytest.raises(ValueError, match="JSON has no form for the type `Other`"):
        from_json(Other, 5)
    with pytest.raises(ValueError, match="JSON has no form for the type `Other`"):
        schema_of_type(Other)
