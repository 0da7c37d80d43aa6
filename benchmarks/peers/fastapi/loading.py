"""A model that takes its time to load; what is edited while it serves."""

from fastapi import FastAPI
from rows import Rows
from tasks import load_slowly

STATE = 1

app = FastAPI()
load_slowly()


@app.post("/score")
def score(rows: Rows) -> int:
    """Answer which version of state and function this is."""
    return STATE * 10 + 1
