"""Any scoring script behind a route, for bugs that are seeded in it."""

import importlib
import os
from typing import Any

from fastapi import FastAPI, Request

script = importlib.import_module(os.environ["BENCH_SCRIPT"])
script.init()

app = FastAPI()


@app.post("/score")
async def score(request: Request) -> Any:
    """Answer what the script answers."""
    return script.run((await request.body()).decode())
