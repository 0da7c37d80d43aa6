"""The device, asked for many requests at once."""

from serving import RowsAPI, serve
from tasks import batch_size, on_device


class Batched(RowsAPI):
    """Answers the totals."""

    def batch(self, inputs):
        """Requests as a list, and not as an array."""
        return list(inputs)

    def predict(self, batch):
        """Answer the totals."""
        return on_device(batch)

    def unbatch(self, output):
        """One answer for each request."""
        return output


if __name__ == "__main__":
    serve(Batched(api_path="/score", max_batch_size=batch_size(), batch_timeout=0.005))
