"""Conditional variational autoencoder of the grasp vector (Kingma and Welling 2014; Sohn et al. 2015).

Legend: B batch, C condition vectors, W width, V numbers of a grasp, K grasps, Z latent numbers.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from maskdex_core.baselines.vector_model import Loss, Trunk, VectorModel
from maskdex_core.grasp.config import TransformerConfig

LATENT = 32  # Z
DEVIATION = 0.1  # of what is decoded about the truth, in units of the data's own deviation
LOG_VARIANCE = 10.0  # the posterior's stays within ±


class ConditionalVae(VectorModel):
    """Encoder and decoder read the conditions; the prior is a standard normal."""

    kind = "cvae"

    def __init__(self, config: TransformerConfig, info: dict[str, Any] | None = None) -> None:
        super().__init__(config, info)
        half = dataclasses.replace(config, layers=max(1, config.layers // 2))  # it only trains the decoder
        self.encoder = Trunk(self.vector.size, 2 * LATENT, half)
        self.decoder = Trunk(LATENT, self.vector.size, config)

    @property
    def noise_size(self) -> int:
        """One of each latent number."""
        return LATENT

    def objective(self, vectors: Tensor, memory: Tensor, noise: Tensor, share: Tensor) -> Loss:
        """Return the negative evidence bound, times 2σ², of vectors (B, V) under conditions (B, C, W)."""
        mean, log_variance = self.encoder(vectors, memory).chunk(2, -1)
        log_variance = log_variance.clamp(-LOG_VARIANCE, LOG_VARIANCE)
        decoded = self.decoder(mean + noise * (0.5 * log_variance).exp(), memory)
        error = (decoded - vectors).square().sum(-1).mean()
        divergence = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1.0).sum(-1).mean()
        return error + 2.0 * DEVIATION**2 * divergence, {"error": error, "divergence": divergence}

    def draw(self, memory: Tensor, generator: torch.Generator | None) -> Tensor:
        """Decode latent numbers drawn from the prior: (K, C, W) → (K, V)."""
        return self.decoder(torch.randn(len(memory), LATENT, generator=generator).to(memory), memory)
