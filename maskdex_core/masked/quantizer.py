"""Vector quantisation with one codebook a position, moving-average updates and dead-code reset.

Legend: B batch, N positions, K codes in a codebook, D code size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from maskdex_core import distributed


@dataclass(frozen=True)
class Quantized:
    """What the quantiser makes of a batch of latent vectors."""

    tokens: Tensor
    """(B, N) int64: index of the nearest code of each position's codebook."""
    vectors: Tensor
    """(B, N, D): the codes; gradients pass straight through to the latent vectors."""
    commitment: Tensor
    """(): mean over B of sum over N of ‖z - sg[ẑ]‖², averaged over D."""
    usage: Tensor
    """(N,): share of codes chosen at least once in this (whole) batch."""
    perplexity: Tensor
    """(N,): exp of the entropy (nats) of the batch's code histogram, 1..K."""


class EmaQuantizer(nn.Module):
    """N independent codebooks learned by exponential moving averages (van den Oord 2017, appendix A.1).

    Every piece of state is a registered buffer, the reset's random choice included (it is seeded from
    `seed` and the buffer `step`), so that a saved and reloaded module goes on exactly as it would have.
    Where several processes train on parts of a batch, the codebooks follow the whole batch in all of them.
    """

    codebook: Tensor
    code_count: Tensor
    code_sum: Tensor
    step: Tensor

    def __init__(
        self,
        positions: int,
        codes: int,
        dim: int,
        decay: float = 0.99,
        dead_share: float = 0.1,
        seed: int = 0,
    ) -> None:
        """Create codebooks that are filled from the first training batch.

        Args:
            positions: number of codebooks N.
            codes: codes a codebook K.
            dim: size of a code D.
            decay: moving-average decay a training step.
            dead_share: a code is dead when its moving count falls under this share of an even use.
            seed: of the dead-code reset.
        """
        super().__init__()
        self.decay, self.dead_share, self.seed = decay, dead_share, seed
        self.register_buffer("codebook", torch.zeros(positions, codes, dim))
        self.register_buffer("code_count", torch.zeros(positions, codes))
        self.register_buffer("code_sum", torch.zeros(positions, codes, dim))
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    @property
    def positions(self) -> int:
        """Number of codebooks N."""
        return self.codebook.shape[0]

    @property
    def codes(self) -> int:
        """Number of codes a codebook K."""
        return self.codebook.shape[1]

    def forward(self, latent: Tensor) -> Quantized:
        """Quantise latent vectors (B, N, D); in training mode also move the codebooks towards them."""
        flat = latent.detach().transpose(0, 1)  # (N, B, D)
        if self.training and int(self.step) == 0:
            self._revive(distributed.gathered(flat, 1), torch.ones_like(self.code_count, dtype=torch.bool))
        tokens = nearest_codes(flat, self.codebook)  # (N, B)
        chosen = _gather(self.codebook, tokens).transpose(0, 1)  # (B, N, D)
        histogram = self._histogram(tokens)
        if self.training:
            histogram = distributed.summed(histogram)
            self._update(flat, tokens, histogram)
        commitment = (latent - chosen).square().mean(-1).sum(-1).mean()
        share = histogram / histogram.sum(-1, keepdim=True)
        entropy = -(share * share.clamp_min(1e-12).log()).sum(-1)
        return Quantized(
            tokens=tokens.transpose(0, 1),
            vectors=latent + (chosen - latent).detach(),
            commitment=commitment,
            usage=(histogram > 0).float().mean(-1),
            perplexity=entropy.exp(),
        )

    def lookup(self, tokens: Tensor) -> Tensor:
        """Return the codes (B, N, D) of tokens (B, N)."""
        return _gather(self.codebook, tokens.transpose(0, 1)).transpose(0, 1)

    def restore_sums(self) -> None:
        """Make the moving sums anew from codes and counts, for a file that leaves them out."""
        self.code_sum.copy_(self.codebook * self.code_count.unsqueeze(-1))

    def _histogram(self, tokens: Tensor) -> Tensor:
        histogram = torch.zeros_like(self.code_count)  # (N, K)
        return histogram.scatter_add_(1, tokens, torch.ones_like(tokens, dtype=histogram.dtype))

    @torch.no_grad()
    def _update(self, flat: Tensor, tokens: Tensor, histogram: Tensor) -> None:
        dim = flat.shape[-1]
        total = torch.zeros_like(self.code_sum)
        total.scatter_add_(1, tokens.unsqueeze(-1).expand(-1, -1, dim), flat.to(total.dtype))
        self.code_count.lerp_(histogram, 1.0 - self.decay)
        self.code_sum.lerp_(distributed.summed(total), 1.0 - self.decay)
        self.codebook.copy_(self.code_sum / self.code_count.clamp_min(1e-8).unsqueeze(-1))
        self.step += 1
        even = flat.shape[1] * distributed.world() / self.codes
        dead = self.code_count < self.dead_share * even
        if bool(dead.any()):
            self._revive(distributed.gathered(flat, 1), dead)

    @torch.no_grad()
    def _revive(self, flat: Tensor, dead: Tensor) -> None:
        """Put dead codes (N, K) on random latent vectors of this batch (N, B, D)."""
        positions, batch, dim = flat.shape
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + int(self.step))
        # Sorting random numbers picks without repetition while the batch lasts, then wraps round.
        order = torch.rand(positions, batch, generator=generator).argsort(1)
        pick = order.repeat(1, -(-self.codes // batch))[:, : self.codes].to(flat.device)
        noise = torch.randn(positions, self.codes, dim, generator=generator).to(flat)
        fresh = _gather(flat, pick) + 0.01 * flat.std(1, keepdim=True, correction=0) * noise
        fresh = fresh.to(self.codebook.dtype)
        even = batch / self.codes
        self.codebook[dead] = fresh[dead]
        self.code_count[dead] = even
        self.code_sum[dead] = fresh[dead] * even


def nearest_codes(flat: Tensor, codebook: Tensor) -> Tensor:
    """Return the index (N, B) of the code in codebook (N, K, D) nearest to each of flat (N, B, D)."""
    codebook = codebook.to(flat.dtype)
    # ‖z - b‖² without ‖z‖², which is the same for every code.
    squared = codebook.square().sum(-1).unsqueeze(1)  # (N, 1, K)
    return torch.baddbmm(squared, flat, codebook.transpose(1, 2), alpha=-2.0).argmin(-1)


def _gather(rows: Tensor, index: Tensor) -> Tensor:
    """Pick rows (N, R, D) by index (N, B) → (N, B, D)."""
    return rows.gather(1, index.unsqueeze(-1).expand(-1, -1, rows.shape[-1]))
