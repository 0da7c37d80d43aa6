"""What a batch costs, learned from what batches have cost: a line through size and seconds."""

from __future__ import annotations

FORGETTING = 0.97
"""Weight that is left of a measurement after the next one: about the last thirty count."""

OUTLIER = 3.0
"""A measurement counts as no more than so many times what was expected, and no less than a part."""

TRUST_AFTER = 3
"""Measurements before outliers can be told from the rest."""

RIDGE = 1e-3
"""Keeps the slope at rest while all batches have nearly the same size and only noise differs."""


class BatchCost:
    """Seconds for a batch of `n`: `fixed_s + each_s * n`, neither ever negative.

    An exponentially weighted least squares fit: it follows a model that becomes slower or faster.

    Attributes:
        fixed_s: Seconds a batch takes whatever its size.
        each_s: Seconds that each of its requests adds.
        is_known: There was at least one measurement.
    """

    def __init__(self) -> None:
        self.fixed_s = 0.0
        self.each_s = 0.0
        self.is_known = False
        self._count = 0
        self._weight = 0.0
        self._mean_size = 0.0
        self._mean_s = 0.0
        self._size_variation = 0.0
        self._joint_variation = 0.0

    def of(self, size: int) -> float:
        """Expected seconds for a batch of this size."""
        return self.fixed_s + self.each_s * size

    def observe(self, size: int, seconds: float) -> None:
        """Learn that a batch of this size took so long."""
        if self._count >= TRUST_AFTER:
            expected = self.of(size)
            seconds = min(max(seconds, expected / OUTLIER), expected * OUTLIER)
        self._count += 1
        self._weight = FORGETTING * self._weight + 1
        from_mean = size - self._mean_size
        self._mean_size += from_mean / self._weight
        self._mean_s += (seconds - self._mean_s) / self._weight
        self._size_variation = FORGETTING * self._size_variation + from_mean * (
            size - self._mean_size
        )
        self._joint_variation = FORGETTING * self._joint_variation + from_mean * (
            seconds - self._mean_s
        )
        self._fit()

    def _fit(self) -> None:
        at_rest = RIDGE * self._weight * self._mean_size**2
        slope = self._joint_variation / (self._size_variation + at_rest)
        # Read by other threads while this one learns: each is a single assignment.
        self.each_s = min(max(slope, 0.0), self._mean_s / self._mean_size)
        self.fixed_s = max(self._mean_s - self.each_s * self._mean_size, 0.0)
        self.is_known = True
