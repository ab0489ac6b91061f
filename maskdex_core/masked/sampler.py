"""Confidence-guided iterative sampling of masked tokens, with classifier-free guidance.

Legend: B batch, N token positions, K codes a position.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from maskdex_core.masked.schedule import masked_count

Predictor = Callable[[Tensor, Tensor], Tensor]
"""(tokens (B, N), mask (B, N)) → logits (B, N, K); rows do not see each other."""


@dataclass(frozen=True)
class SampledTokens:
    """Complete token rows; nothing is masked any more."""

    tokens: Tensor
    """(B, N) int64."""
    confidence: Tensor
    """(B, N): probability of each token, at temperature 1, at the moment it was kept."""


def guided_predictor(network: Callable[[Tensor, Tensor, Tensor], Tensor], scale: float) -> Predictor:
    """Wrap a conditional network into a predictor of guided logits (1 + s)·ω_c − s·ω_u.

    Args:
        network: (tokens, mask, dropped (B,) bool: rows that see no condition) → logits.
        scale: guidance scale s; 0 runs the conditional pass alone.

    Returns:
        A predictor that runs both passes as one batch of 2·B, the rows with condition first.
    """

    def predict(tokens: Tensor, mask: Tensor) -> Tensor:
        dropped = torch.zeros(len(tokens), dtype=torch.bool, device=tokens.device)
        if scale == 0.0:
            return network(tokens, mask, dropped)
        logits = network(tokens.repeat(2, 1), mask.repeat(2, 1), torch.cat((dropped, ~dropped)))
        with_condition, without = logits.chunk(2)
        return (1.0 + scale) * with_condition - scale * without

    return predict


def sample_tokens(
    predict: Predictor,
    tokens: Tensor,
    fixed: Tensor | None = None,
    steps: int = 5,
    temperature: float = 1.0,
    top_k: int = 0,
    generator: torch.Generator | None = None,
    waves: Tensor | None = None,
) -> SampledTokens:
    """Fill the free positions of token rows, wave after wave, each in T steps.

    Each step draws every masked position of the wave, keeps the most confident and masks the ⌈γ(t/T)·n⌉ least
    confident again, n being the free positions. A kept token is never masked again. Every step keeps at
    least one token a row, so more steps than free positions change nothing.

    Args:
        predict: logits of every position given tokens and mask.
        tokens: (B, N) int64; read only where fixed.
        fixed: (B, N) bool, True where the token is given; None frees every position.
        steps: iterations T ≥ 1.
        temperature: divides the logits before drawing; 0 takes the most probable token.
        top_k: draw among the k most probable codes only; 0 draws among all.
        generator: CPU generator that makes the draw repeatable.
        waves: (N,) wave of each position (`CodeChains.wave_of`); None is one wave.

    Returns:
        All tokens, the fixed ones unchanged with confidence 1.

    Raises:
        ValueError: when steps < 1, temperature < 0 or top_k < 0.
    """
    if steps < 1 or temperature < 0.0 or top_k < 0:
        raise ValueError(f"steps {steps}, temperature {temperature}, top_k {top_k}: need ≥ 1, ≥ 0, ≥ 0")
    free = torch.ones_like(tokens, dtype=torch.bool) if fixed is None else ~fixed
    mask, confidence = free, torch.ones(tokens.shape, device=tokens.device)
    waves = torch.zeros(tokens.shape[1], dtype=torch.int64) if waves is None else waves
    for wave in range(int(waves.max()) + 1):
        own = free & (waves == wave).to(tokens.device)  # (B, N)
        still = own
        for step in range(1, steps + 1):
            if not bool(still.any()):
                break
            # Rows that know nothing are all alike: one stands for them.
            rows = slice(1) if bool(mask.all()) else slice(None)
            logits = predict(tokens[rows], mask[rows]).float().expand(len(tokens), -1, -1)
            drawn = draw(logits, temperature, top_k, generator)
            chance = logits.softmax(-1).gather(-1, drawn.unsqueeze(-1)).squeeze(-1)
            tokens = torch.where(still, drawn, tokens)
            confidence = torch.where(still, chance, confidence)
            left = _least_confident(confidence, still, _still_masked(step / steps, own.sum(1), still))
            mask, still = (mask & ~own) | left, left
    return SampledTokens(tokens, confidence)


def draw(logits: Tensor, temperature: float, top_k: int, generator: torch.Generator | None) -> Tensor:
    """Draw one code for each row of logits (..., K) → (...) int64."""
    if top_k and top_k < logits.shape[-1]:
        lowest = logits.topk(top_k, -1).values[..., -1:]
        logits = logits.masked_fill(logits < lowest, float("-inf"))
    if temperature == 0.0:
        return logits.argmax(-1)
    # Gumbel-max: argmax of logits / T + Gumbel noise is a draw from softmax(logits / T).
    uniform = torch.rand(logits.shape, generator=generator).clamp_(1e-20, 1.0 - 1e-7)
    gumbel = -(-uniform.log()).log()
    return (logits / temperature + gumbel.to(logits.device)).argmax(-1)


def _still_masked(progress: float, available: Tensor, mask: Tensor) -> Tensor:
    """Return how many positions (B,) of each row stay masked; always fewer than now."""
    wanted = torch.tensor([masked_count(progress, int(n)) for n in available], device=mask.device)
    return torch.minimum(wanted, mask.sum(1) - 1).clamp_min(0)


def _least_confident(confidence: Tensor, mask: Tensor, count: Tensor) -> Tensor:
    """Return a mask (B, N) of the `count` (B,) least confident among the positions just drawn."""
    scores = confidence.masked_fill(~mask, float("inf"))
    rank = scores.argsort(dim=1, stable=True).argsort(1)
    return rank < count.unsqueeze(1)
