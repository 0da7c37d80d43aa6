"""A stream of tokens."""

from serving import RowsAPI, serve
from tasks import tokens


class Streaming(RowsAPI):
    """Answers token by token."""

    def predict(self, rows):
        """Yield the tokens."""
        yield from tokens()

    def encode_response(self, output):
        """Yield what is sent for each token."""
        yield from output


if __name__ == "__main__":
    serve(Streaming(api_path="/score", stream=True))
