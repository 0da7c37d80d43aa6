"""The device, asked for one request at a time."""

import bentoml
from tasks import on_device


@bentoml.service
class Unbatched:
    """Answers the total."""

    @bentoml.api(route="/score")
    def score(self, data: list[list[float]]) -> float:
        """Answer the total."""
        return on_device([data])[0]
