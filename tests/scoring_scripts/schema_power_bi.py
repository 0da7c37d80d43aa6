"""Uses the parameter and result names Power BI looks for, with nested types."""

from inference_schema.parameter_types.standard_py_parameter_type import (
    StandardPythonParameterType,
)
from inference_schema.schema_decorators import input_schema, output_schema

ROW = StandardPythonParameterType({"age": 1, "name": "x"})


def init():
    """Nothing to load."""


@input_schema("Inputs", StandardPythonParameterType({"data": ROW}))
@input_schema("GlobalParameters", StandardPythonParameterType(1.0))
@output_schema(StandardPythonParameterType({"Results": [1.0]}))
def run(Inputs, GlobalParameters):  # noqa: N803
    """Return age times factor."""
    return {"Results": [Inputs["data"]["age"] * GlobalParameters]}
