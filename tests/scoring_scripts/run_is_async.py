"""`init` and `run` are coroutine functions."""

import asyncio
import time

running = 0
most = 0


async def init():
    """Remember the event loop."""
    global loop
    await asyncio.sleep(0.01)
    loop = asyncio.get_running_loop()


async def run(data: dict):
    """Wait without blocking, or block if told to."""
    global running, most
    running += 1
    most = max(most, running)
    try:
        await asyncio.sleep(data.get("wait", 0))
        time.sleep(data.get("block", 0))
    finally:
        running -= 1
    return {"same_loop": asyncio.get_running_loop() is loop, "most": most}
