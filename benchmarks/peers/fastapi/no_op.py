"""The sum, in a plain function: FastAPI calls it on a thread of its pool."""

from fastapi import FastAPI
from rows import Rows
from tasks import total

app = FastAPI()


@app.post("/score")
def score(rows: Rows) -> float:
    """Answer the total."""
    return total(rows.data)
