"""Says which process scores."""

import os

from mlserver import MLModel
from totals import response


class Process(MLModel):
    """Answers the process."""

    async def predict(self, payload):
        """Answer the process."""
        return response(self, [os.getpid()])
