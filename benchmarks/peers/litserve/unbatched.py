"""The device, asked for one request at a time."""

from serving import RowsAPI, serve
from tasks import on_device


class Unbatched(RowsAPI):
    """Answers the total."""

    def predict(self, rows):
        """Answer the total."""
        return on_device([rows])[0]


if __name__ == "__main__":
    serve(Unbatched(api_path="/score"))
