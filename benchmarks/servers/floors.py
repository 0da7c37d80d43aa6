"""The floors: a WSGI application of ten lines under the bare HTTP servers."""

from __future__ import annotations

from benchmarks.asking import HOST
from benchmarks.servers.base import PEERS, Kind, Role, Server, Service


def _gunicorn(threads: int) -> Server:
    command = (
        "gunicorn", "--bind", f"{HOST}:{{port}}", "--worker-class", "gthread",
        "--threads", str(threads), "no_op:application",
    )  # fmt: skip
    return Server(
        name=f"gunicorn-{threads}",
        title=f"raw gunicorn, {threads} thread{'s' if threads > 1 else ''}",
        role=Role.FLOOR,
        environment="azml",
        packages=("gunicorn",),
        services={Kind.NO_OP: Service(command)},
        files=(PEERS / "floors",),
        note=f"Its `gthread` worker with {threads} thread{'s' if threads > 1 else ''}, connections "
        "kept alive; no scoring script, ids, queue, deadline or log.",
    )


def _granian(name: str, title: str, note: str, *options: str) -> Server:
    command = (
        "granian", "--interface", "wsgi", "--host", HOST, "--port", "{port}", *options,
        "no_op:application",
    )  # fmt: skip
    return Server(
        name=name,
        title=title,
        role=Role.FLOOR,
        environment="azml",
        packages=("granian",),
        services={Kind.NO_OP: Service(command)},
        files=(PEERS / "floors",),
        note=note,
    )


GUNICORN = _gunicorn(16)
GUNICORN_1 = _gunicorn(1)
GRANIAN = _granian(
    "granian", "raw Granian", "Its documented defaults; it chooses the number of blocking threads."
)
GRANIAN_1 = _granian(
    "granian-1",
    "raw Granian, 1 blocking thread",
    "`--blocking-threads 1`.",
    "--blocking-threads",
    "1",
)
