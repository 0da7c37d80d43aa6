"""The device, asked for many requests at once, which arrive as one list of rows."""

import bentoml
from tasks import batch_size, on_device


@bentoml.service
class Batched:
    """Answers the totals."""

    @bentoml.api(route="/score", batchable=True, max_batch_size=batch_size())
    def score(self, data: list[list[float]]) -> list[float]:
        """Answer the totals."""
        return on_device([[row] for row in data])
