"""Has a metric of its own."""

from prometheus_client import Counter

scored = Counter("my_model_scored", "Scored rows.", ["label"])


def init():
    """Nothing to load."""


def run(label):
    """Count the row."""
    scored.labels(label).inc()
    return label
