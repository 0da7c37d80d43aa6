"""Says which process scores."""

import os

import bentoml


@bentoml.service
class Process:
    """Answers the process."""

    @bentoml.api(route="/score")
    def score(self, data: list[list[float]]) -> int:
        """Answer the process."""
        return os.getpid()
