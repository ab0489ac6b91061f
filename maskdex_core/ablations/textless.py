"""Models that are told nothing of the task: every text's embedding is zero, in training and after it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from maskdex_core.grasp.sampler import GraspSampler
from maskdex_core.grasp.types import GraspBatch


class TextlessEncoder:
    """A text encoder that has nothing to say."""

    name = "none"

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Return zeros (T, dim) for T texts."""
        return torch.zeros(len(texts), self.dim)


class TextlessSampler:
    """Another sampler that was trained with `TextlessEncoder`."""

    def __init__(self, sampler: GraspSampler, dim: int) -> None:
        self._sampler, self._dim = sampler, dim
        self.info = sampler.info

    def embed(self, text: str) -> Tensor:
        """Return zeros (dim,)."""
        return torch.zeros(self._dim)

    def touch_map(self, points: Tensor, text: str | Tensor) -> None:
        """Return None: nothing here tells where a text wants the hand."""

    def sample(
        self, points: Tensor, text: str | Tensor, n: int = 16, *, generator: torch.Generator | None = None
    ) -> GraspBatch:
        """Draw grasps for the object alone; see `GraspSampler`."""
        return self._sampler.sample(points, torch.zeros(self._dim), n, generator=generator)
