"""A bidirectional transformer that predicts masked tokens from the others and from condition vectors.

The token positions read each other and the condition vectors; nothing is written back to the conditions, so
their keys and values are made once for all steps and samples.

Legend: B batch, N token positions, K codes a position, C condition vectors, W width, D code size, H heads.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BidirectionalTransformer(nn.Module):
    """N token positions that attend to each other and to C condition vectors, one output head a position.

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
            feedforward: hidden size of a block's MLP in multiples of the width.
            dropout: on the residual branches, training only.
            code_dim: 0 learns tables of token embeddings and of output weights; D > 0 adds to both tables what a
                small net a position makes of the codes' meanings (N, K, D) given to `tie_codes`, so that codes
                with like meaning are learned together.
        """
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not divisible by {heads} heads")
        self.positions, self.codes = positions, codes
        if code_dim:
            self.register_buffer("code_vectors", torch.zeros(positions, codes, code_dim))
            self.code_in = CodeNet(positions, code_dim, width)
            self.code_out = CodeNet(positions, code_dim, width)
        self.tied = bool(code_dim)
        self.token_embedding = nn.Parameter(0.02 * torch.randn(positions, codes, width))
        self.mask_embedding = nn.Parameter(0.02 * torch.randn(width))
        self.position_embedding = nn.Parameter(0.02 * torch.randn(positions, width))
        self.blocks = nn.ModuleList(Block(width, heads, feedforward, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head_weight = nn.Parameter(0.02 * torch.randn(positions, width, codes))
        self.head_bias = nn.Parameter(torch.zeros(positions, codes))
        self._tables: tuple[tuple[object, ...], CodeTables] | None = None

    def tie_codes(self, meanings: Tensor) -> None:
        """Take over what codes mean (N, K, D), every number centred and scaled to unit variance."""
        centred = meanings - meanings.mean(1, keepdim=True)
        scale = centred.std(1, keepdim=True, correction=0).clamp_min(1e-3)
        self.code_vectors.copy_(centred / scale)

    def read(self, conditions: Tensor) -> Tensor:
        """Return what every layer keeps of condition vectors (B, C, W): keys and values (B, layers, 2, H, C, W / H)."""
        return torch.stack([cast(Block, block).keys_values(conditions) for block in self.blocks], 1)

    def tables(self) -> CodeTables:
        """Return what stands for each code: the same until the weights change."""
        if not self.tied:
            return CodeTables(self.token_embedding, self.head_weight)
        if torch.is_grad_enabled():
            return self._made_tables()
        own = (self.token_embedding, self.head_weight, self.code_vectors, *self.code_in.parameters(),
               *self.code_out.parameters())  # fmt: skip
        state = (
            torch.is_autocast_enabled(self.token_embedding.device.type),
            *((value.data_ptr(), value._version) for value in own),
        )
        if self._tables is None or self._tables[0] != state:
            self._tables = (state, self._made_tables())
        return self._tables[1]

    def _made_tables(self) -> CodeTables:
        scale = self.head_weight.shape[1] ** -0.5
        return CodeTables(
            self.token_embedding + self.code_in(self.code_vectors),
            self.head_weight + scale * self.code_out(self.code_vectors).transpose(1, 2),
        )

    def forward(
        self,
        tokens: Tensor,
        mask: Tensor,
        memory: Tensor,
        views: Tensor | None = None,
        tables: CodeTables | None = None,
    ) -> Tensor:
        """Predict every position.

        Args:
            tokens: (B, N) int64 in [0, K); ignored where masked.
            mask: (B, N) bool, True where [MASK].
            memory: of `read`.
            views: (B, N, W) what each position reads besides, if anything.
            tables: of `tables`; made anew if None.

        Returns:
            (B, N, K) logits.
        """
        tables = tables or self.tables()
        own = tables.embedding[torch.arange(self.positions, device=tokens.device), tokens.masked_fill(mask, 0)]
        embedded = torch.where(mask.unsqueeze(-1), self.mask_embedding, own)
        stream = embedded + self.position_embedding  # (B, N, W)
        stream = stream if views is None else stream + views
        for layer, block in enumerate(self.blocks):
            stream = block(stream, memory[:, layer])
        features = self.norm(stream).transpose(0, 1)  # (N, B, W)
        logits = torch.baddbmm(self.head_bias.unsqueeze(1), features, tables.head)
        return logits.transpose(0, 1)


class CodeTables(NamedTuple):
    """What stands for each code, coming in and going out."""

    embedding: Tensor
    """(N, K, W)."""
    head: Tensor
    """(N, W, K)."""


class CodeNet(nn.Module):
    """A two-layer net a position on the meanings of its codes: (N, K, D) → (N, K, W)."""

    def __init__(self, positions: int, dim: int, width: int) -> None:
        super().__init__()
        hidden = width // 2
        self.first = nn.Parameter(torch.randn(positions, dim, hidden) * dim**-0.5)
        self.second = nn.Parameter(torch.randn(positions, hidden, width) * hidden**-0.5)

    def forward(self, meanings: Tensor) -> Tensor:
        """Map what codes mean."""
        return torch.bmm(F.gelu(torch.bmm(meanings, self.first)), self.second)


class Block(nn.Module):
    """Pre-norm attention to the stream itself and to a memory, then an MLP, both residual."""

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float, memory: bool = True) -> None:
        """Build a block; without `memory` it reads the stream alone."""
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        if memory:
            self.memory_norm = nn.LayerNorm(width)
            self.memory_key_value = nn.Linear(width, 2 * width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp_in = nn.Linear(width, feedforward * width)
        self.mlp_out = nn.Linear(feedforward * width, width)

    def keys_values(self, conditions: Tensor) -> Tensor:
        """Return keys and values (B, 2, H, C, W / H) of condition vectors (B, C, W)."""
        return self._by_head(self.memory_key_value(self.memory_norm(conditions)), 2)

    def forward(self, stream: Tensor, memory: Tensor | None = None) -> Tensor:
        """Map (B, S, W) to (B, S, W); every position sees every other and the memory (B, 2, H, C, W / H)."""
        packed = self._by_head(self.query_key_value(self.attention_norm(stream)), 3)
        query, key, value = packed.unbind(1)  # each (B, H, S, W / H)
        if memory is not None:
            key, value = torch.cat((memory[:, 0], key), 2), torch.cat((memory[:, 1], value), 2)
        # A few tens of vectors: two plain products, whose backward pass is seven times faster here than the fused one.
        weight = (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5).softmax(-1)
        mixed = weight @ value
        mixed = self.attention_out(mixed.transpose(1, 2).flatten(2))
        stream = stream + self._drop(mixed)
        return stream + self._drop(self.mlp_out(F.gelu(self.mlp_in(self.mlp_norm(stream)))))

    def _by_head(self, packed: Tensor, count: int) -> Tensor:
        return packed.unflatten(-1, (count, self.heads, -1)).permute(0, 2, 3, 1, 4)

    def _drop(self, branch: Tensor) -> Tensor:
        return F.dropout(branch, self.dropout, self.training)
