"""Our server with either engine, and the reference: the same scripts, nearly the same options."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.servers.base import PEERS, Kind, Role, Server, Service
from tests.servers import SCORING_SCRIPTS

_TUNED = ("--max_queue", "400", "--log_level", "WARNING")


def _serve(script: str, *options: str, **environ: str) -> Service:
    command = ("azmlinfsrv", "--entry_script", f"{script}.py", "--port", "{port}", *options)
    return Service(command, environ)


def _of_both(*options: str) -> dict[Kind, Service]:
    return {
        Kind.NO_OP: _serve("no_op", *options),
        Kind.IRIS: _serve("iris", *options),
        Kind.UNBATCHED: _serve("unbatched", *options),
        Kind.STREAM: _serve("streaming", *options),
        Kind.OVERLOAD: _serve("overload", *options),
        Kind.PROCESS: _serve("process", *options),
        Kind.SEEDED: _serve(
            "{script}", *options, SCORING_TIMEOUT_MS="300", AZUREML_MODEL_DIR="empty"
        ),
    }


def _of_ours(*options: str) -> Mapping[Kind, Service]:
    return {
        **_of_both(*options),
        Kind.IRIS_TUNED: _serve("iris_tuned", *_TUNED, *options),
        Kind.BATCH_16: _serve("batched", *options, BENCH_BATCH_SIZE="16"),
        Kind.BATCH_64: _serve("batched", *options, BENCH_BATCH_SIZE="64"),
        Kind.LOADING: _serve("loading", "--reload", *options),
    }


_FILES = (PEERS / "azml", SCORING_SCRIPTS)

AZML = Server(
    name="azml",
    title="azml",
    role=Role.OURS,
    environment="azml",
    packages=("azml", "flask", "gunicorn", "scikit-learn"),
    services=_of_ours(),
    files=_FILES,
    health="/livez",
    help=("azmlinfsrv", "--help"),
    module="inference_server.api.aml_request",
    note="The default engine: a gunicorn worker with an event loop and one scoring thread.",
)
AZML_GRANIAN = Server(
    name="azml-granian",
    title="azml, Granian engine",
    role=Role.OURS,
    environment="azml",
    packages=("azml", "flask", "granian", "scikit-learn"),
    services=_of_ours("--engine", "granian"),
    files=_FILES,
    health="/livez",
    note="The same server with `--engine granian` (`pip install azml[fast]`).",
)
REFERENCE = Server(
    name="reference",
    title="azureml-inference-server-http",
    role=Role.REFERENCE,
    environment="reference",
    packages=("azureml-inference-server-http", "flask", "gunicorn", "scikit-learn"),
    services=_of_both(),
    files=(PEERS / "azml", SCORING_SCRIPTS, PEERS / "reference"),
    health="/",
    help=("azmlinfsrv", "--help"),
    module="azureml_inference_server_http.api.aml_request",
    note="The reference. It closes each connection behind its answer.",
)
