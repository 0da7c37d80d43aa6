"""A slow model with one place."""

from mlserver import MLModel
from tasks import serially
from totals import response, rows_of


class Overload(MLModel):
    """Answers the total, in time."""

    async def predict(self, payload):
        """Answer the total, in time."""
        return response(self, [serially(rows_of(payload))])
