"""Asks for the raw request and for a schema."""

from azureml_inference_server_http.api.aml_request import rawhttp
from inference_schema.parameter_types.standard_py_parameter_type import (
    StandardPythonParameterType,
)
from inference_schema.schema_decorators import input_schema


def init():
    """Never reached."""


@rawhttp
@input_schema("data", StandardPythonParameterType(1))
def run(data):
    """Never reached."""
    return data
