"""A bidirectional transformer that predicts masked tokens from the others and from condition vectors.

Legend: B batch, N token positions, K codes a position, C condition vectors, W width, D code size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BidirectionalTransformer(nn.Module):
    """Condition vectors as prefix, N token positions, one output head a position.

    Masked positions enter as the learned [MASK] vector: the token id under a mask is never read.
    """

    code_vectors: Tensor

    def __init__(
        self,
        positions: int,
        codes: int,
        width: int,
        heads: int,
        layers: int,
        conditions: int,
        feedforward: int = 4,
        dropout: float = 0.0,
        code_dim: int = 0,
    ) -> None:
        """Build the network.

        Args:
            positions: token positions N.
            codes: vocabulary of each position K.
            width: embedding size W, divisible by heads.
            heads: attention heads.
            layers: transformer blocks.
            conditions: number of prefix vectors C.
            feedforward: hidden size of a block's MLP in multiples of the width.
            dropout: on the residual branches, training only.
            code_dim: 0 learns tables of token embeddings and of output weights; D > 0 adds the codebook
                vectors (N, K, D) given to `tie_codes`, projected a position, to both tables, so that
                codes with like meaning start alike.
        """
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not divisible by {heads} heads")
        self.positions, self.codes = positions, codes
        if code_dim:
            self.register_buffer("code_vectors", torch.zeros(positions, codes, code_dim))
            self.code_in = nn.Parameter(torch.randn(positions, code_dim, width) * code_dim**-0.5)
            self.code_out = nn.Parameter(torch.randn(positions, width, code_dim) * width**-0.5)
        self.tied = bool(code_dim)
        self.token_embedding = nn.Parameter(0.02 * torch.randn(positions, codes, width))
        self.mask_embedding = nn.Parameter(0.02 * torch.randn(width))
        self.position_embedding = nn.Parameter(0.02 * torch.randn(conditions + positions, width))
        self.blocks = nn.ModuleList(Block(width, heads, feedforward, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head_weight = nn.Parameter(0.02 * torch.randn(positions, width, codes))
        self.head_bias = nn.Parameter(torch.zeros(positions, codes))

    def tie_codes(self, codebook: Tensor) -> None:
        """Take over codebook vectors (N, K, D), centred and scaled to unit variance a position."""
        centred = codebook - codebook.mean(1, keepdim=True)
        scale = centred.std((1, 2), keepdim=True, correction=0).clamp_min(1e-6)
        self.code_vectors.copy_(centred / scale)

    def forward(self, tokens: Tensor, mask: Tensor, conditions: Tensor) -> Tensor:
        """Predict every position.

        Args:
            tokens: (B, N) int64 in [0, K); ignored where masked.
            mask: (B, N) bool, True where [MASK].
            conditions: (B, C, W) prefix vectors.

        Returns:
            (B, N, K) logits.
        """
        embedded = torch.where(mask.unsqueeze(-1), self.mask_embedding, self._embed(tokens, mask))
        stream = torch.cat((conditions, embedded), 1) + self.position_embedding  # (B, C + N, W)
        for block in self.blocks:
            stream = block(stream)
        features = self.norm(stream[:, -self.positions :]).transpose(0, 1)  # (N, B, W)
        logits = torch.baddbmm(self.head_bias.unsqueeze(1), features, self._head())
        return logits.transpose(0, 1)

    def _embed(self, tokens: Tensor, mask: Tensor) -> Tensor:
        tokens = tokens.masked_fill(mask, 0)
        table = self.token_embedding  # (N, K, W)
        if self.tied:
            table = torch.baddbmm(table, self.code_vectors, self.code_in)
        return table[torch.arange(self.positions, device=tokens.device), tokens]

    def _head(self) -> Tensor:
        if not self.tied:
            return self.head_weight  # (N, W, K)
        scale = self.code_vectors.shape[-1] ** -0.5
        return torch.baddbmm(self.head_weight, self.code_out, self.code_vectors.transpose(1, 2), alpha=scale)


class Block(nn.Module):
    """Pre-norm self-attention and MLP, both residual."""

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp_in = nn.Linear(width, feedforward * width)
        self.mlp_out = nn.Linear(feedforward * width, width)

    def forward(self, stream: Tensor) -> Tensor:
        """Map (B, S, W) to (B, S, W); every position sees every other."""
        batch, length, width = stream.shape
        packed = self.query_key_value(self.attention_norm(stream))
        packed = packed.view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = packed.unbind(0)  # each (B, heads, S, W / heads)
        mixed = F.scaled_dot_product_attention(query, key, value)
        mixed = self.attention_out(mixed.transpose(1, 2).reshape(batch, length, width))
        stream = stream + self._drop(mixed)
        return stream + self._drop(self.mlp_out(F.gelu(self.mlp_in(self.mlp_norm(stream)))))

    def _drop(self, branch: Tensor) -> Tensor:
        return F.dropout(branch, self.dropout, self.training)


def expected_codes(logits: Tensor, codebook: Tensor) -> Tensor:
    """Return the mean code z̄ = softmax(L)·CB of each position (MaskHand, section 3.3), differentiable.

    Args:
        logits: (B, N, K).
        codebook: (N, K, D).

    Returns:
        (B, N, D).
    """
    return torch.einsum("bnk,nkd->bnd", logits.softmax(-1), codebook)
