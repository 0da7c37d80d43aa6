"""FastAPI under uvicorn, with uvloop and httptools as FastAPI's own extra installs them."""

from __future__ import annotations

from benchmarks.servers.base import PEERS, Kind, Role, Server, Service


def _serve(module: str, *options: str, **environ: str) -> Service:
    return Service(("uvicorn", f"{module}:app", "--port", "{port}", *options), environ)


_PACKAGES = ("fastapi", "uvicorn", "uvloop", "httptools", "pydantic", "scikit-learn")

FASTAPI = Server(
    name="fastapi",
    title="FastAPI `def`",
    role=Role.PEER,
    environment="fastapi",
    packages=_PACKAGES,
    services={
        Kind.NO_OP: _serve("no_op"),
        Kind.IRIS: _serve("iris"),
        Kind.IRIS_TUNED: _serve("iris_tuned", "--no-access-log"),
        Kind.UNBATCHED: _serve("unbatched"),
        Kind.STREAM: _serve("streaming"),
        Kind.OVERLOAD: _serve("overload"),
        Kind.LOADING: _serve("loading", "--reload"),
        Kind.PROCESS: _serve("process"),
        Kind.SEEDED: _serve("seeded", BENCH_SCRIPT="{script}", AZUREML_MODEL_DIR="empty"),
    },
    files=(PEERS / "fastapi", PEERS.parent.parent / "tests" / "scoring_scripts"),
    health="/health",
    help=("uvicorn", "--help"),
    module="fastapi",
    note="Plain functions, on FastAPI's thread pool; `async def` without access log in the tuned "
    "profile. It has no batching.",
)
FASTAPI_ASYNC = Server(
    name="fastapi-async",
    title="FastAPI `async def`",
    role=Role.PEER,
    environment="fastapi",
    packages=_PACKAGES,
    services={Kind.NO_OP: _serve("no_op_async")},
    files=(PEERS / "fastapi",),
    note="The function runs on the event loop; a slow one would stop all others.",
)
