"""`run` is an asynchronous generator."""

import asyncio
from pathlib import Path


async def init():
    """Nothing to load."""


async def run(kind):
    """Yield items of a kind."""
    if kind == "objects":
        yield {"n": 1}
        await asyncio.sleep(0.01)
        yield {"n": 2}
    elif kind == "fails first":
        raise ValueError("no first item")
    elif kind == "fails later":
        yield {"n": 1}
        raise ValueError("no second item")
    elif kind == "endless":
        try:
            while True:
                yield {"pad": "x" * 100_000}
                await asyncio.sleep(0.01)
        finally:
            Path("closed").touch()
