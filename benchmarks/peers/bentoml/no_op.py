"""The sum."""

import bentoml
from tasks import total


@bentoml.service
class NoOp:
    """Answers the total."""

    @bentoml.api(route="/score")
    def score(self, data: list[list[float]]) -> float:
        """Answer the total."""
        return total(data)
