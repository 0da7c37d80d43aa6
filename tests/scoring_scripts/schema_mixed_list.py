"""Has an example that Swagger 2 cannot describe: a list of several types."""

from inference_schema.parameter_types.standard_py_parameter_type import (
    StandardPythonParameterType,
)
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    """Nothing to load."""


@input_schema("data", StandardPythonParameterType([1, "two", {"three": 3}]))
@output_schema(StandardPythonParameterType(1))
def run(data):
    """Return the input."""
    return data
