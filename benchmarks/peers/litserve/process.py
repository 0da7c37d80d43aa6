"""Says which process scores."""

import os

from serving import RowsAPI, serve


class Process(RowsAPI):
    """Answers the process."""

    def predict(self, rows):
        """Answer the process."""
        return os.getpid()


if __name__ == "__main__":
    serve(Process(api_path="/score"))
