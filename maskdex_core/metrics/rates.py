"""A mean over grasps with its interval over objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Rate:
    """A mean with its 95 % bootstrap interval clustered by object."""

    mean: float
    low: float
    high: float
    grasps: int
    objects: int

    def __str__(self) -> str:
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}] (n {self.grasps}, objects {self.objects})"


def rate(outcomes: Sequence[np.ndarray], seed: int = 0, draws: int = 2000) -> Rate:
    """Return the mean over all grasps, and its bootstrap interval over objects.

    Args:
        outcomes: one array of values an object; an object without any does not count.
        seed, draws: of the bootstrap.

    Raises:
        ValueError: when there is no value at all.
    """
    outcomes = [outcome for outcome in outcomes if outcome.size]
    if not outcomes:
        raise ValueError("a rate needs at least one outcome")
    rng = np.random.default_rng(seed)
    sums = np.array([outcome.sum() for outcome in outcomes], float)
    counts = np.array([outcome.size for outcome in outcomes], float)
    picks = rng.integers(len(outcomes), size=(draws, len(outcomes)))
    means = sums[picks].sum(1) / counts[picks].sum(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Rate(float(sums.sum() / counts.sum()), float(low), float(high), int(counts.sum()), len(outcomes))
