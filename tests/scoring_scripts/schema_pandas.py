"""Takes a pandas data frame."""

import pandas as pd
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.schema_decorators import input_schema


def init():
    """Nothing to load."""


@input_schema("frame", PandasParameterType(pd.DataFrame([{"a": 1, "b": "x"}])))
def run(frame):
    """Return type, column types and rows."""
    kinds = [str(kind) for kind in frame.dtypes]
    return [type(frame).__name__, kinds, frame.to_dict("records")]
