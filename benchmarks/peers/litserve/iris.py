"""A scikit-learn classifier."""

from serving import RowsAPI, serve
from tasks import load_iris


class Iris(RowsAPI):
    """Answers the classes."""

    def setup(self, device):
        """Load the classifier."""
        self.model = load_iris()

    def predict(self, rows):
        """Answer the classes."""
        return self.model.predict(rows).tolist()


if __name__ == "__main__":
    serve(Iris(api_path="/score"))
