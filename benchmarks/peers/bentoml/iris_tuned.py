"""A scikit-learn classifier that is asked for many requests at once."""

import bentoml
from tasks import load_iris


@bentoml.service(metrics={"enabled": False}, logging={"access": {"enabled": False}})
class Iris:
    """Answers the class of each row."""

    def __init__(self) -> None:
        """Load the classifier."""
        self.model = load_iris()

    @bentoml.api(route="/score", batchable=True, max_batch_size=64)
    def score(self, data: list[list[float]]) -> list[int]:
        """Answer the class of each row."""
        return self.model.predict(data).tolist()
