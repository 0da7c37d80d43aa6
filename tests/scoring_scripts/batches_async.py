"""Takes batches on an event loop; several at once where the server is told so."""

import asyncio
from pathlib import Path

from inference_server.scripting import batch

now = most = 0


async def init():
    """Nothing to load."""


@batch(max_size=4)
async def run(data: list[dict]):
    """Sizes and overlap of the calls, for each request."""
    global now, most
    now += 1
    most = max(most, now)
    with Path("calls").open("a") as calls:
        calls.write(f"{len(data)}\n")
    try:
        while any(item.get("wait") for item in data) and not Path("release").exists():
            await asyncio.sleep(0.01)
        await asyncio.sleep(max(item.get("sleep", 0) for item in data))
        if any(item.get("fail") for item in data):
            raise ValueError("bad input")
        return [{"size": len(data), "most": most, "id": item.get("id")} for item in data]
    finally:
        now -= 1
