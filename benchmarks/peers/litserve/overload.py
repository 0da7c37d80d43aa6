"""A slow model with one place."""

from serving import RowsAPI, serve
from tasks import serially


class Overload(RowsAPI):
    """Answers the total, in time."""

    def predict(self, rows):
        """Answer the total, in time."""
        return serially(rows)


if __name__ == "__main__":
    serve(Overload(api_path="/score"))
