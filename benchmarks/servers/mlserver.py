"""MLServer, asked in its own protocol."""

from __future__ import annotations

from typing import Any

from benchmarks.asking import Request
from benchmarks.servers.base import PEERS, Kind, Role, Server, Service

_ROW = b'{"inputs": [{"name": "rows", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, 3, 4]}]}'


def _values(answer: Any) -> object:
    return answer["outputs"][0]["data"]


def _value(answer: Any) -> object:
    return answer["outputs"][0]["data"][0]


def _serve(model: str, *, many: bool = False, verb: str = "infer", **environ: str) -> Service:
    return Service(
        ("mlserver", "start", model),
        {
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_HTTP_PORT": "{port}",
            "MLSERVER_GRPC_PORT": "{port_2}",
            "MLSERVER_METRICS_PORT": "{port_3}",
            **environ,
        },
        Request(f"/v2/models/score/{verb}", _ROW),
        _values if many else _value,
    )


def _batch(size: int) -> Service:
    return _serve(
        "batched",
        MLSERVER_MODEL_MAX_BATCH_SIZE=str(size),
        MLSERVER_MODEL_MAX_BATCH_TIME="0.005",
        BENCH_BATCH_SIZE=str(size),
    )


MLSERVER = Server(
    name="mlserver",
    title="MLServer",
    role=Role.PEER,
    environment="mlserver",
    packages=("mlserver", "mlserver-sklearn", "fastapi", "uvicorn", "scikit-learn"),
    services={
        Kind.NO_OP: _serve("no_op"),
        Kind.IRIS: _serve("iris", many=True),
        Kind.IRIS_TUNED: _serve("iris_tuned", many=True),
        Kind.UNBATCHED: _serve("unbatched"),
        Kind.BATCH_16: _batch(16),
        Kind.BATCH_64: _batch(64),
        Kind.STREAM: _serve("streaming", verb="infer_stream"),
        Kind.OVERLOAD: _serve("overload"),
        Kind.PROCESS: _serve("process"),
    },
    files=(PEERS / "mlserver",),
    health="/v2/health/live",
    help=("mlserver", "--help"),
    module="mlserver",
    note="Requests in its V2 protocol. Tuned: inference in the server's own process "
    "(`parallel_workers: 0`), batches of 64 within 2 ms, no metrics.",
)
