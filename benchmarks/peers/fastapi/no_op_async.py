"""The sum, on the event loop itself."""

from fastapi import FastAPI
from rows import Rows
from tasks import total

app = FastAPI()


@app.post("/score")
async def score(rows: Rows) -> float:
    """Answer the total."""
    return total(rows.data)
