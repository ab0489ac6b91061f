"""How many codes are masked: the cosine schedule, in training and in sampling."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from maskdex_core.masked.chains import CodeChains

FIRST_WAVE = 0.5  # share of training rows that are asked for the first wave of their masked parts


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


def random_waves(
    batch: int,
    chains: CodeChains,
    generator: torch.Generator | None = None,
    progress_range: tuple[float, float] = (0.0, 1.0),
) -> tuple[Tensor, Tensor]:
    """Draw training masks of code chains as sampling and editing meet them.

    Random parts are masked (`random_mask` over parts). Of those, one wave is asked for: their codes of the waves
    before are known, those of the waves after are not. In half of the rows it is the first wave, which decides most;
    else any, each as likely. With one code a part and no anchor this is `random_mask`.

    Args:
        batch, generator, progress_range: as for `random_mask`. chains: the chains.

    Returns:
        masked (B, N) bool, and asked (B, N) bool: the masked codes that can be predicted, at least one a row.
    """
    masked_parts = random_mask(batch, chains.parts, generator, progress_range)  # (B, P)
    free = masked_parts[:, chains.part_of]  # (B, N)
    holds = torch.stack([free[:, chains.wave_of == wave].any(1) for wave in range(chains.waves)], 1)
    chance = torch.rand(batch, chains.waves, generator=generator).masked_fill(~holds, -1.0)
    at_once = torch.rand(batch, generator=generator) < FIRST_WAVE
    wave = torch.where(at_once, holds.long().argmax(1), chance.argmax(1)).unsqueeze(1)  # (B, 1)
    masked = free & (chains.wave_of >= wave)
    return masked, free & (chains.wave_of == wave)
