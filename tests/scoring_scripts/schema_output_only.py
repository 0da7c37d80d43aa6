"""Describes only what it returns."""

from inference_schema.parameter_types.standard_py_parameter_type import (
    StandardPythonParameterType,
)
from inference_schema.schema_decorators import output_schema


def init():
    """Nothing to load."""


@output_schema(StandardPythonParameterType("text"))
def run(data):
    """Return the input's type: the described output is neither checked nor converted."""
    return [type(data).__name__, data]
