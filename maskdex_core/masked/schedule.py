"""How many tokens are masked: the cosine schedule, in training and in sampling."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def cosine_ratio(progress: float) -> float:
    """Return the mask ratio γ(τ) = cos(πτ/2) for progress τ in [0, 1]; exactly 0 at the end.

    Raises:
        ValueError: when progress is outside [0, 1].
    """
    if not 0.0 <= progress <= 1.0:
        raise ValueError(f"progress {progress} is outside [0, 1]")
    return 0.0 if progress == 1.0 else math.cos(0.5 * math.pi * progress)


def masked_count(progress: float, positions: int) -> int:
    """Return ⌈γ(τ)·N⌉, the number of positions still masked after progress τ."""
    # The small offset keeps rounding noise such as 3.0000000001 from becoming 4.
    return max(0, math.ceil(cosine_ratio(progress) * positions - 1e-9))


def random_mask(
    batch: int,
    positions: int,
    generator: torch.Generator | None = None,
    progress_range: tuple[float, float] = (0.0, 1.0),
) -> Tensor:
    """Draw training masks: τ uniform in a range, then ⌈γ(τ)·N⌉ random positions a row, at least one.

    Args:
        batch: rows B.
        positions: tokens a row N.
        generator: CPU generator; the global one if None.
        progress_range: bounds of τ; (0, 1) draws every ratio, (0, 0.5) only heavily masked rows.

    Returns:
        (B, N) bool on the CPU, True where masked.
    """
    low, high = progress_range
    progress = low + (high - low) * torch.rand(batch, generator=generator)  # (B,)
    count = torch.ceil(torch.cos(0.5 * math.pi * progress) * positions - 1e-6).clamp(1, positions)
    rank = torch.rand(batch, positions, generator=generator).argsort(1).argsort(1)
    return rank < count.unsqueeze(1)
