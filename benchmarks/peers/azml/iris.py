"""A scikit-learn classifier, one request at a time."""

from __future__ import annotations

import json
from typing import Any

from tasks import load_iris

model: Any = None


def init() -> None:
    """Load the classifier."""
    global model
    model = load_iris()


def run(raw_data: str) -> list[int]:
    """Answer the classes."""
    return model.predict(json.loads(raw_data)["data"]).tolist()
