"""What every workload is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks.closed_loop import Client
from benchmarks.environments import Installed
from benchmarks.figures import Figure
from benchmarks.machine import Cores
from benchmarks.servers.base import Kind, Server


@dataclass(frozen=True)
class Bench:
    """What all workloads of a run share.

    Attributes:
        client: Makes closed-loop load.
        cores: Where servers and client run.
        seconds: Length of one measurement under load.
        warm_up_s: Length of the load before it.
        overload_s: How long a server is overloaded.
        seed: Of arrival times.
    """

    client: Client
    cores: Cores
    seconds: int
    warm_up_s: int
    overload_s: int
    seed: int


class Workload(Protocol):
    """One thing done to a server."""

    @property
    def name(self) -> str:
        """Its key, and for `--only`."""

    @property
    def title(self) -> str:
        """Heading of its part of the page."""

    @property
    def about(self) -> str:
        """What is done, as sentences for the page."""

    @property
    def kinds(self) -> Sequence[Kind]:
        """What a server may be asked to serve; each is measured for itself."""

    @property
    def figures(self) -> Sequence[Figure]:
        """What it measures."""

    @property
    def most_rounds(self) -> int:
        """Rounds beyond which more would only take time."""

    def suits(self, server: Server, kind: Kind) -> bool:
        """Whether it can be done to this server, here, beyond what it serves."""

    def measure(self, installed: Installed, kind: Kind, bench: Bench) -> Mapping[str, float]:
        """Take one sample of each figure, by name.

        Raises:
            MeasureError: The server did not do what is needed.
        """
