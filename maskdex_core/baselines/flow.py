"""Conditional flow matching of the grasp vector along straight lines (Lipman et al. 2023), drawn in few Euler steps.

Legend: B batch, C condition vectors, W width, V numbers of a grasp, K grasps.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from maskdex_core.baselines.vector_model import Loss, Trunk, VectorModel
from maskdex_core.grasp.config import TransformerConfig

FREQUENCIES = 8  # of the time's sine and cosine
STEPS = 10  # of Euler's method


class FlowMatching(VectorModel):
    """A velocity field from a standard normal to grasps."""

    kind = "flow"

    def __init__(self, config: TransformerConfig, info: dict[str, Any] | None = None) -> None:
        super().__init__(config, info)
        self.velocity = Trunk(self.vector.size + 2 * FREQUENCIES, self.vector.size, config)

    @property
    def noise_size(self) -> int:
        """A start for every number."""
        return self.vector.size

    def objective(self, vectors: Tensor, memory: Tensor, noise: Tensor, share: Tensor) -> Loss:
        """Return the squared error of the velocity at `share` of the way from noise to vectors (B, V)."""
        found = self._at(torch.lerp(noise, vectors, share), share, memory)
        error = (found - (vectors - noise)).square().sum(-1).mean()
        return error, {"error": error}

    def draw(self, memory: Tensor, generator: torch.Generator | None) -> Tensor:
        """Follow the field from noise: (K, C, W) → (K, V)."""
        vectors = torch.randn(len(memory), self.vector.size, generator=generator).to(memory)
        for step in range(STEPS):
            time = vectors.new_full((len(vectors), 1), step / STEPS)
            vectors = vectors + self._at(vectors, time, memory) / STEPS
        return vectors

    def _at(self, vectors: Tensor, time: Tensor, memory: Tensor) -> Tensor:
        angles = math.pi * time * torch.arange(1, FREQUENCIES + 1, device=time.device)
        return self.velocity(torch.cat((vectors, angles.sin(), angles.cos()), -1), memory)
