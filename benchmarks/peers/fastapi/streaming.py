"""A stream of tokens."""

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from rows import Rows
from tasks import tokens

app = FastAPI()


@app.post("/score")
def score(rows: Rows) -> StreamingResponse:
    """Answer token by token."""
    return StreamingResponse(tokens(), media_type="text/plain")
