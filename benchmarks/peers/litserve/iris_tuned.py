"""A scikit-learn classifier that is asked for many requests at once."""

from serving import RowsAPI, serve
from tasks import load_iris


class Iris(RowsAPI):
    """Answers the class of each request's row."""

    def setup(self, device):
        """Load the classifier."""
        self.model = load_iris()

    def predict(self, batch):
        """Answer the class of each row."""
        return [[int(kind)] for kind in self.model.predict([rows[0] for rows in batch])]

    def unbatch(self, output):
        """One answer for each request."""
        return output


if __name__ == "__main__":
    serve(Iris(api_path="/score", max_batch_size=64, batch_timeout=0.002), fast_queue=True)
