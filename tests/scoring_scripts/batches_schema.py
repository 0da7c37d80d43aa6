"""Takes batches of numpy arrays that inference-schema makes, one of each request."""

from pathlib import Path

import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.schema_decorators import input_schema

from inference_server.scripting import batch


def init():
    """Nothing to load."""


@input_schema("data", NumpyParameterType(np.array([[1.0, 2.0]])))
@batch(max_size=8)
def run(data):
    """Size of the batch, type and sum of each array."""
    while any(array.sum() == 0 for array in data) and not Path("release").exists():
        pass
    return [[len(data), type(array).__name__, array.sum()] for array in data]
