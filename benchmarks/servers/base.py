"""What a server under test is: values that say how it is started and asked."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.asking import Request
from benchmarks.peers.tasks import TOKEN, TOKENS

PEERS = Path(__file__).parent.parent / "peers"


class Role(enum.Enum):
    """What a server is to the comparison."""

    OURS = "ours"
    REFERENCE = "reference"
    PEER = "peer"
    FLOOR = "floor"


class Kind(enum.Enum):
    """What a server is asked to serve."""

    NO_OP = "no-op"
    IRIS = "iris"
    IRIS_TUNED = "iris-tuned"
    UNBATCHED = "batch-off"
    BATCH_16 = "batch-16"
    BATCH_64 = "batch-64"
    STREAM = "stream"
    OVERLOAD = "overload"
    LOADING = "loading"
    PROCESS = "process"
    SEEDED = "seeded"


_TOTAL = 10
_RIGHT: Mapping[Kind, object] = {
    Kind.NO_OP: _TOTAL,
    Kind.IRIS: [2],
    Kind.IRIS_TUNED: [2],
    Kind.UNBATCHED: _TOTAL,
    Kind.BATCH_16: _TOTAL,
    Kind.BATCH_64: _TOTAL,
    Kind.OVERLOAD: _TOTAL,
    Kind.LOADING: 11,
}


def as_it_is(answer: object) -> object:
    """What a server answers that adds nothing around it."""
    return answer


@dataclass(frozen=True)
class Service:
    """How a server is told to serve one kind of thing, and how it is asked.

    In `command` and the values of `environ`, `{port}`, `{port_2}`, `{port_3}` stand for free ports
    and `{script}` for what a workload puts there.

    Attributes:
        command: Command line; the program comes from the server's virtual environment.
        environ: Variables.
        request: What a client sends.
        read: Takes the value out of the answer's JSON.
    """

    command: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)
    request: Request = field(default_factory=Request)
    read: Callable[[object], object] = as_it_is

    def value(self, body: bytes) -> object:
        """The value in an answer.

        Raises:
            ValueError: The answer is no JSON, or of another shape.
        """
        try:
            return self.read(json.loads(body))
        except (LookupError, TypeError) as error:
            raise ValueError(f"no value in {body[:200]!r}") from error

    def is_right(self, kind: Kind, body: bytes) -> bool:
        """Whether an answer is what it should be; before the first edit, for `LOADING`."""
        if kind is Kind.STREAM:
            return body.count(TOKEN.encode()) == TOKENS
        try:
            value = self.value(body)
        except ValueError:
            return False
        return value == _RIGHT[kind] if kind in _RIGHT else value is not None


@dataclass(frozen=True)
class Server:
    """A server under test.

    Attributes:
        name: Key in the results, and for `--servers`.
        title: What it is called in tables and charts.
        role: What it is to the comparison.
        environment: The virtual environment it runs from; servers may share one.
        packages: Distributions whose versions are part of the results.
        services: What it can be asked to serve.
        files: Folders whose content is copied to where it runs.
        health: Path of its liveness probe, if it has one.
        help: Command line of its help, if it is a command for users.
        module: What users import of it, if anything.
        note: What a reader has to know about it.
    """

    name: str
    title: str
    role: Role
    environment: str
    packages: tuple[str, ...]
    services: Mapping[Kind, Service]
    files: tuple[Path, ...]
    health: str = ""
    help: tuple[str, ...] = ()
    module: str = ""
    note: str = ""
