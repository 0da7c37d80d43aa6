"""The servers under test, in the order of the tables' columns."""

from __future__ import annotations

from benchmarks.servers.azml import AZML, AZML_GRANIAN, REFERENCE
from benchmarks.servers.base import Kind, Role, Server, Service
from benchmarks.servers.bentoml import BENTOML
from benchmarks.servers.fastapi import FASTAPI, FASTAPI_ASYNC
from benchmarks.servers.floors import GRANIAN, GRANIAN_1, GUNICORN, GUNICORN_1
from benchmarks.servers.litserve import LITSERVE
from benchmarks.servers.mlserver import MLSERVER

__all__ = ["SERVERS", "Kind", "Role", "Server", "Service"]

SERVERS = (
    AZML,
    AZML_GRANIAN,
    REFERENCE,
    FASTAPI,
    FASTAPI_ASYNC,
    LITSERVE,
    MLSERVER,
    BENTOML,
    GUNICORN,
    GUNICORN_1,
    GRANIAN,
    GRANIAN_1,
)
