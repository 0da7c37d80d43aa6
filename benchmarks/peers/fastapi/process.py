"""Says which process scores."""

import os

from fastapi import FastAPI
from rows import Rows

app = FastAPI()


@app.post("/score")
def score(rows: Rows) -> int:
    """Answer the process."""
    return os.getpid()
