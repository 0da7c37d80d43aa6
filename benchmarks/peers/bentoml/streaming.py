"""A stream of tokens."""

from collections.abc import Generator

import bentoml
from tasks import tokens


@bentoml.service
class Streaming:
    """Answers token by token."""

    @bentoml.api(route="/score")
    def score(self, data: list[list[float]]) -> Generator[str, None, None]:
        """Answer token by token."""
        yield from tokens()
