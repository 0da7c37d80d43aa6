"""The device, asked for many requests at once, which arrive as rows of one array."""

from mlserver import MLModel
from tasks import on_device
from totals import response, rows_of


class Batched(MLModel):
    """Answers the totals."""

    async def predict(self, payload):
        """Answer the totals."""
        return response(self, on_device([[row] for row in rows_of(payload)]))
