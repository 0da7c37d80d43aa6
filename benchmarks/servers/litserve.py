"""LitServe."""

from __future__ import annotations

from benchmarks.servers.base import PEERS, Kind, Role, Server, Service


def _serve(script: str, **environ: str) -> Service:
    return Service(("python", f"{script}.py", "{port}"), environ)


LITSERVE = Server(
    name="litserve",
    title="LitServe",
    role=Role.PEER,
    environment="litserve",
    packages=("litserve", "fastapi", "uvicorn", "scikit-learn"),
    services={
        Kind.NO_OP: _serve("no_op"),
        Kind.IRIS: _serve("iris"),
        Kind.IRIS_TUNED: _serve("iris_tuned"),
        Kind.UNBATCHED: _serve("unbatched"),
        Kind.BATCH_16: _serve("batched", BENCH_BATCH_SIZE="16"),
        Kind.BATCH_64: _serve("batched", BENCH_BATCH_SIZE="64"),
        Kind.STREAM: _serve("streaming"),
        Kind.OVERLOAD: _serve("overload"),
        Kind.PROCESS: _serve("process"),
    },
    files=(PEERS / "litserve",),
    health="/health",
    module="litserve",
    note="Tuned: batches of 64 within 2 ms, and `fast_queue`.",
)
