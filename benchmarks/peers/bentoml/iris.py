"""A scikit-learn classifier."""

import bentoml
from tasks import load_iris


@bentoml.service
class Iris:
    """Answers the classes."""

    def __init__(self) -> None:
        """Load the classifier."""
        self.model = load_iris()

    @bentoml.api(route="/score")
    def score(self, data: list[list[float]]) -> list[int]:
        """Answer the classes."""
        return self.model.predict(data).tolist()
