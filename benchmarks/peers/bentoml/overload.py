"""A slow model with one place."""

import bentoml
from tasks import serially


@bentoml.service
class Overload:
    """Answers the total, in time."""

    @bentoml.api(route="/score")
    def score(self, data: list[list[float]]) -> float:
        """Answer the total, in time."""
        return serially(data)
