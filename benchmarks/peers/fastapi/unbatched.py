"""The device, asked for one request at a time."""

from fastapi import FastAPI
from rows import Rows
from tasks import on_device

app = FastAPI()


@app.post("/score")
def score(rows: Rows) -> float:
    """Answer the total."""
    return on_device([rows.data])[0]
