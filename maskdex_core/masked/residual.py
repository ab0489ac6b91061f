"""Residual quantisation: a part may spend several codes, each on what the ones before left over.

Legend: B batch, P parts, L levels, N positions (the codes of all parts, part by part), K codes, D code size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from maskdex_core.masked.chains import CodeChains
from maskdex_core.masked.quantizer import EmaQuantizer, Quantized


class ResidualQuantizer(nn.Module):
    """One chain of codebooks a part (Zeghidour 2021); with one level each it is P plain codebooks."""

    part_of: Tensor
    """(N,) part of each position."""
    slot: Tensor

    def __init__(
        self,
        levels: Sequence[int],
        codes: int,
        dim: int,
        decay: float = 0.99,
        dead_share: float = 0.1,
        seed: int = 0,
    ) -> None:
        """Create the codebooks.

        Args:
            levels: (P,) codes that each part spends, at least 1.
            codes, dim, decay, dead_share, seed: as `EmaQuantizer`.
        """
        super().__init__()
        self.chains = CodeChains(tuple(int(level) for level in levels), codes)
        self.levels = self.chains.levels
        rows = [[part for part, own in enumerate(self.levels) if own > depth] for depth in range(max(self.levels))]
        self.rows = rows
        self.stages = nn.ModuleList(
            EmaQuantizer(len(own), codes, dim, decay, dead_share, seed + depth) for depth, own in enumerate(rows)
        )
        part_of, depth_of = self.chains.part_of, self.chains.depth_of
        # Where position n lies when the levels' outputs stand one after another.
        begin = [sum(len(own) for own in rows[:depth]) for depth in range(len(rows))]
        slot = [
            begin[depth] + rows[depth].index(part)
            for part, depth in zip(part_of.tolist(), depth_of.tolist(), strict=True)
        ]
        self.register_buffer("part_of", part_of, persistent=False)
        self.register_buffer("slot", torch.tensor(slot), persistent=False)

    @property
    def parts(self) -> int:
        """Number of parts P."""
        return self.chains.parts

    @property
    def positions(self) -> int:
        """Number of codes a row N."""
        return self.chains.positions

    @property
    def codes(self) -> int:
        """Number of codes a codebook K."""
        return self._stage(0).codes

    @property
    def codebook(self) -> Tensor:
        """Codebooks (N, K, D) in the order of positions."""
        return torch.cat([self._stage(depth).codebook for depth in range(len(self.stages))])[self.slot]

    def forward(self, latent: Tensor) -> Quantized:
        """Quantise latent vectors (B, P, D); in training mode also move the codebooks towards them.

        Returns:
            `tokens` (B, N), `vectors` (B, P, D) (the sum of each part's codes, straight through),
            `commitment` summed over levels, `usage` and `perplexity` (N,).
        """
        left, total = latent, torch.zeros_like(latent)
        made: list[Quantized] = []
        for depth, rows in enumerate(self.rows):
            quantized = self._stage(depth)(left[:, rows])
            made.append(quantized)
            # Only the level's own commitment pulls the encoder: what is left over is data for the next one.
            code = torch.zeros_like(latent).index_copy(1, self._index(rows), quantized.vectors.detach())
            total = total + code
            left = latent - total
        return Quantized(
            tokens=torch.cat([one.tokens for one in made], 1)[:, self.slot],
            vectors=latent + (total - latent).detach(),
            commitment=torch.stack([one.commitment for one in made]).sum(),
            usage=torch.cat([one.usage for one in made])[self.slot],
            perplexity=torch.cat([one.perplexity for one in made])[self.slot],
        )

    @torch.no_grad()
    def tokenize(self, latent: Tensor) -> Tensor:
        """Return the tokens (B, N) of latent vectors (B, P, D), the codebooks left alone."""
        was_training = self.training
        tokens = self.eval()(latent).tokens
        self.train(was_training)
        return tokens

    def lookup(self, tokens: Tensor) -> Tensor:
        """Return the vectors (B, P, D) of tokens (B, N)."""
        codebook = self.codebook
        return self.merge(codebook[torch.arange(self.positions, device=tokens.device), tokens])

    def merge(self, codes: Tensor) -> Tensor:
        """Add up codes (B, N, D) by part → (B, P, D)."""
        total = codes.new_zeros(len(codes), self.parts, codes.shape[-1])
        return total.index_add(1, self.part_of, codes)

    def restore_sums(self) -> None:
        """Make the moving sums anew from codes and counts, for a file that leaves them out."""
        for depth in range(len(self.stages)):
            self._stage(depth).restore_sums()

    def _stage(self, depth: int) -> EmaQuantizer:
        return cast(EmaQuantizer, self.stages[depth])

    def _index(self, rows: list[int]) -> Tensor:
        return torch.tensor(rows, device=self.part_of.device)
