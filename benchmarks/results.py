"""Everything a run has found out, as values and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from benchmarks.errors import ResultsError
from benchmarks.figures import Summaries, Summary


@dataclass(frozen=True)
class Circumstances:
    """Under what conditions a run was made.

    Attributes:
        date: Day of the run.
        command: How to repeat it.
        machine: Processor, cores, memory, kernel.
        client: What made the closed-loop load.
        cores: Where server and client ran, as a sentence.
        load_before: Load average of the last minute before the run.
        load_after: The same at its end, the run's own load included.
        rounds: Samples of most figures.
        seconds: Length of one measurement under load.
        warm_up_s: Length of the load before it.
        overload_s: How long a server was overloaded.
        seed: Of the shuffled order and of arrival times.
    """

    date: str
    command: str
    machine: str
    client: str
    cores: str
    load_before: float
    load_after: float
    rounds: int
    seconds: int
    warm_up_s: int
    overload_s: int
    seed: int


@dataclass(frozen=True)
class Failure:
    """A measurement that gave no figure.

    Attributes:
        workload: Name of the workload.
        server: Name of the server.
        kind: What the server was asked to serve.
        reason: One line.
        times: In how many rounds.
    """

    workload: str
    server: str
    kind: str
    reason: str
    times: int = 1


@dataclass(frozen=True)
class Results:
    """A run's outcome.

    Attributes:
        circumstances: How it was made.
        versions: By server, then by distribution.
        samples: Values in order of the rounds, by figure, then by server.
        failures: What could not be measured.
    """

    circumstances: Circumstances
    versions: Mapping[str, Mapping[str, str]]
    samples: Mapping[str, Mapping[str, Sequence[float]]]
    failures: Sequence[Failure] = ()

    @cached_property
    def summaries(self) -> Summaries:
        """Median and range of every figure of every server."""
        return {
            (figure, server): Summary.of(values)
            for figure, by_server in self.samples.items()
            for server, values in by_server.items()
        }

    def as_json(self) -> str:
        """The results with every sample."""
        document: dict[str, Any] = {
            "circumstances": asdict(self.circumstances),
            "versions": self.versions,
            "failures": [asdict(failure) for failure in self.failures],
        }
        head = (
            json.dumps(document, indent=1, ensure_ascii=False).rstrip().removesuffix("}").rstrip()
        )
        rows = ",\n".join(
            f"  {json.dumps(figure)}: {json.dumps(by_server)}"
            for figure, by_server in self.samples.items()
        )
        return f'{head},\n "samples": {{\n{rows}\n }}\n}}\n'


def from_json(text: str) -> Results:
    """Results that were written by `Results.as_json`.

    Raises:
        ResultsError: The text is something else.
    """
    try:
        document = json.loads(text)
        return Results(
            Circumstances(**document["circumstances"]),
            document["versions"],
            document["samples"],
            [Failure(**failure) for failure in document["failures"]],
        )
    except (ValueError, LookupError, TypeError) as error:
        raise ResultsError(f"these are no results of a run: {error!r}") from error
