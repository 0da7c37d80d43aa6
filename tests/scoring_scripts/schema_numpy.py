"""Takes a numpy array."""

import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    """Nothing to load."""


@input_schema("data", NumpyParameterType(np.array([[1.0, 2.0]])))
@output_schema(NumpyParameterType(np.array([3.0])))
def run(data):
    """Return type, shape and row sums."""
    return [type(data).__name__, str(data.dtype), list(data.shape), data.sum(axis=1).tolist()]
