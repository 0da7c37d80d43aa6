"""Takes described Python values: required, defaulted, optional and unconverted."""

import datetime

from inference_schema.parameter_types.standard_py_parameter_type import (
    StandardPythonParameterType,
)
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    """Nothing to load."""


@input_schema("number", StandardPythonParameterType(3))
@input_schema("items", StandardPythonParameterType({"a": [1.5], "b": "x"}), optional=True)
@input_schema("when", StandardPythonParameterType(datetime.datetime(2020, 1, 2)), optional=True)
@input_schema("blob", StandardPythonParameterType(b"sample"), optional=True)
@input_schema("factor", StandardPythonParameterType(1))
@input_schema(
    "plain",
    StandardPythonParameterType(datetime.datetime(2020, 1, 2)),
    convert_to_provided_type=False,
)
@output_schema(StandardPythonParameterType({"number": 3}))
def run(number, items=None, when=None, blob=None, factor=4, plain=None, request_headers=None):
    """Return what arrived, and as which type."""
    return {
        "number": number,
        "items": items,
        "when": [type(when).__name__, str(when)],
        "blob": [type(blob).__name__, repr(blob)],
        "factor": factor,
        "plain": plain,
        "foo": request_headers.get("X-Foo"),
    }
