"""The device, asked for one request at a time."""

from mlserver import MLModel
from tasks import on_device
from totals import response, rows_of


class Unbatched(MLModel):
    """Answers the total."""

    async def predict(self, payload):
        """Answer the total."""
        return response(self, on_device([rows_of(payload)]))
