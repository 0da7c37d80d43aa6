"""The sum."""

from serving import RowsAPI, serve
from tasks import total


class NoOp(RowsAPI):
    """Answers the total."""

    def predict(self, rows):
        """Answer the total."""
        return total(rows)


if __name__ == "__main__":
    serve(NoOp(api_path="/score"))
