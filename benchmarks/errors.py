"""What can go wrong in a run.

BenchmarkError
├── InstallError   a server under test could not be installed
├── ResultsError   a file does not hold results, or they cannot be shown
└── MeasureError   a server did not do what its workload needs, so there is no figure
"""

from __future__ import annotations


class BenchmarkError(Exception):
    """The run cannot go on; the message says why."""


class InstallError(BenchmarkError):
    """A server under test could not be installed."""


class ResultsError(BenchmarkError):
    """A file does not hold results, or they cannot be shown."""


class MeasureError(BenchmarkError):
    """A server did not do what its workload needs, so there is no figure."""
