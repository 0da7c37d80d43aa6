"""A model that takes its time to load; what is edited while it serves."""

import bentoml
from tasks import load_slowly

STATE = 1


@bentoml.service
class Loading:
    """Answers which version it is."""

    def __init__(self) -> None:
        """Load the model."""
        load_slowly()

    @bentoml.api(route="/score")
    def score(self, data: list[list[float]]) -> int:
        """Answer which version of state and function this is."""
        return STATE * 10 + 1
