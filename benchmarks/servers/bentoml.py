"""BentoML."""

from __future__ import annotations

from typing import Any

from benchmarks.servers.base import PEERS, Kind, Role, Server, Service, as_it_is


def _first(answer: Any) -> object:
    return answer[0]


def _serve(
    name: str, service: str, *options: str, batched: bool = False, **environ: str
) -> Service:
    target = f"{name}:{service}"
    command = ("bentoml", "serve", target, "--host", "127.0.0.1", "--port", "{port}", *options)
    return Service(
        command,
        {"BENTOML_DO_NOT_TRACK": "True", **environ},
        read=_first if batched else as_it_is,
    )


BENTOML = Server(
    name="bentoml",
    title="BentoML",
    role=Role.PEER,
    environment="bentoml",
    packages=("bentoml", "uvicorn", "starlette", "scikit-learn"),
    services={
        Kind.NO_OP: _serve("no_op", "NoOp"),
        Kind.IRIS: _serve("iris", "Iris"),
        Kind.IRIS_TUNED: _serve("iris_tuned", "Iris"),
        Kind.UNBATCHED: _serve("unbatched", "Unbatched"),
        Kind.BATCH_16: _serve("batched", "Batched", batched=True, BENCH_BATCH_SIZE="16"),
        Kind.BATCH_64: _serve("batched", "Batched", batched=True, BENCH_BATCH_SIZE="64"),
        Kind.STREAM: _serve("streaming", "Streaming"),
        Kind.OVERLOAD: _serve("overload", "Overload"),
        Kind.LOADING: _serve("loading", "Loading", "--reload"),
        Kind.PROCESS: _serve("process", "Process"),
    },
    files=(PEERS / "bentoml",),
    health="/livez",
    help=("bentoml", "--help"),
    module="bentoml",
    note="Tuned: adaptive batches of up to 64, no metrics, no access log.",
)
