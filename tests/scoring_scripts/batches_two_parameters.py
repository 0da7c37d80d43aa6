"""Takes a list for each of two parameters, one of them optional."""

from pathlib import Path

import pandas as pd

from inference_server.scripting import batch


def init():
    """Nothing to load."""


@batch
def run(number: list[int], weight: list[float] = 1.5) -> list[dict[str, float]]:
    """A data frame with a row for each request."""
    while 0 in number and not Path("release").exists():
        pass
    return pd.DataFrame({"number": number, "weight": weight, "size": len(number)})
