"""Reads Flask's globals in concurrent asynchronous calls."""

import asyncio

from flask import g, request


async def init():
    """Nothing to load."""


async def run(data):
    """Read them after a pause in which other calls run."""
    before = request.headers["x-request-id"]
    await asyncio.sleep(0.05)
    return [data, before, request.headers["x-request-id"], g.request_id, request.path]
