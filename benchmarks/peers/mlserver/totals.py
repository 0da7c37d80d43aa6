"""What the runtimes have in common: an array in, numbers out, by the V2 protocol."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


def rows_of(payload: InferenceRequest) -> list[list[float]]:
    """The rows of the only input."""
    rows: list[list[float]] = NumpyCodec.decode_input(payload.inputs[0]).tolist()
    return rows


def response(model: MLModel, values: Sequence[float]) -> InferenceResponse:
    """One value for each row."""
    output = NumpyCodec.encode_output("answer", np.array(values))
    return InferenceResponse(model_name=model.name, outputs=[output])
