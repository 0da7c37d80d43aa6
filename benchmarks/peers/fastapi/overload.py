"""A slow model with one place, and a health route on the event loop."""

from fastapi import FastAPI
from rows import Rows
from tasks import serially

app = FastAPI()


@app.get("/health")
async def health() -> str:
    """Answer at once."""
    return "ok"


@app.post("/score")
def score(rows: Rows) -> float:
    """Answer the total, in time."""
    return serially(rows.data)
