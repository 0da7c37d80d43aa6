"""`@batch`: what it marks, and what it refuses."""

from __future__ import annotations

import functools
import math
import subprocess
import sys
from typing import Any

import pytest

from inference_server.scripting import BatchLimits, batch, batch_limits


def test_a_marked_function_is_still_called_as_before():
    @batch(max_size=4, max_wait_ms=2.5)
    def run(data):
        return [item * 2 for item in data]

    assert run([1, 2]) == [2, 4]
    assert batch_limits(run) == BatchLimits(4, 2.5)


def test_the_decorator_needs_no_parentheses():
    @batch
    def run(data): ...

    assert batch_limits(run) == BatchLimits(16, 10.0)


def test_a_function_without_it_has_no_limits():
    def run(data): ...

    assert batch_limits(run) is None


def test_it_is_found_below_other_decorators():
    def other(function):
        @functools.wraps(function)
        def wrapper(*arguments):
            return function(*arguments)

        vars(wrapper).pop("__azml_batch__", None)
        return wrapper

    @other
    @other
    @batch(max_size=2)
    def run(data): ...

    assert batch_limits(run) == BatchLimits(2, 10.0)


def test_methods_and_instances_can_be_marked():
    class Model:
        def predict(self, data): ...

        @batch(max_size=3)
        def __call__(self, data): ...

    assert batch_limits(Model()) == BatchLimits(3, 10.0)
    assert batch_limits(batch(max_size=5)(Model().predict)) == BatchLimits(5, 10.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_size": 0}, "max_size must be from 1 to 4096, not 0"),
        ({"max_size": 4097}, "max_size must be from 1 to 4096, not 4097"),
        ({"max_size": 2.0}, "max_size must be a whole number from 1 to 4096: 2.0"),
        ({"max_size": True}, "max_size must be a whole number from 1 to 4096: True"),
        ({"max_wait_ms": -1}, "max_wait_ms must be from 0 to 60000, not -1"),
        ({"max_wait_ms": math.nan}, "max_wait_ms must be from 0 to 60000, not nan"),
        ({"max_wait_ms": math.inf}, "max_wait_ms must be from 0 to 60000, not inf"),
        ({"max_wait_ms": "5"}, "max_wait_ms must be a number of milliseconds: '5'"),
    ],
)
def test_a_number_outside_of_its_range_is_named(arguments: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=f"^{message}$"):
        batch(**arguments)


def test_importing_it_imports_nothing_of_the_server_or_its_libraries():
    code = "import sys, inference_server.scripting; print(*sys.modules)"

    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()

    assert {name for name in printed if name.startswith("inference_server.")} == {
        "inference_server.scripting"
    }
    assert not {"flask", "msgspec", "gunicorn", "asyncio"} & {*printed}
