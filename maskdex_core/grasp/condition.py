"""Condition vectors of the transformer: [TASK], the text and the object.

Legend: B batch, P object points, E text embedding size, W width, O object tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskdex_core.grasp.config import TransformerConfig
from maskdex_core.grasp.pointnet import LENGTH_SCALE, PointNet


class GraspCondition(nn.Module):
    """Fuses text and object into (B, 2 + O, W): the learned [TASK], the text, the object."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        width, tokens = config.width, config.object_tokens
        self.task = nn.Parameter(0.02 * torch.randn(width))
        self.text_projection = nn.Linear(config.text_dim, width)
        self.object_encoder = PointNet(config.object_channels, config.object_widths, width * tokens)
        self.no_text = nn.Parameter(0.02 * torch.randn(width))
        self.no_object = nn.Parameter(0.02 * torch.randn(tokens, width))
        self.norm = nn.LayerNorm(width)

    @property
    def count(self) -> int:
        """Number of condition vectors."""
        return 2 + self.config.object_tokens

    def forward(self, points: Tensor, text: Tensor, drop: Tensor | None = None) -> Tensor:
        """Return condition vectors.

        Args:
            points: (B, P, 3 or 6) object points in m in the object frame, with unit normals if 6.
            text: (B, E) text embeddings.
            drop: (B,) bool, rows that lose text and object; None drops none.

        Returns:
            (B, 2 + O, W).
        """
        return self.fuse(self.object_embedding(points), self.text_projection(text), drop)

    def object_embedding(self, points: Tensor) -> Tensor:
        """Encode object points (B, P, 3 or 6) → (B, O, W)."""
        scaled = torch.cat((points[..., :3] * LENGTH_SCALE, points[..., 3:]), -1)
        embedding = self.object_encoder(scaled)
        return embedding.unflatten(-1, (self.config.object_tokens, self.config.width))

    def fuse(self, shape: Tensor, words: Tensor, drop: Tensor | None = None) -> Tensor:
        """Join embeddings of object (B, O, W) and text (B, W); dropped rows get the learned blanks."""
        words = words.unsqueeze(1)
        if drop is not None:
            rows = drop[:, None, None]
            words = torch.where(rows, self.no_text.to(words.dtype), words)
            shape = torch.where(rows, self.no_object.to(shape.dtype), shape)
        joined = torch.cat((words, shape), 1)
        task = self.task.to(joined.dtype).expand(len(joined), 1, -1)
        return torch.cat((task, self.norm(joined)), 1)

    def unconditional(self, batch: int) -> Tensor:
        """Return the vectors (B, 2 + O, W) of dropped conditions."""
        blank = torch.cat((self.no_text[None], self.no_object))
        return torch.cat((self.task[None], self.norm(blank))).expand(batch, -1, -1)


def thin_points(points: Tensor, count: int) -> Tensor:
    """Return at most `count` points of (..., P, C), spread evenly over the list, always the same ones."""
    total = points.shape[-2]
    if total <= count:
        return points
    rows = torch.linspace(0, total - 1, count, device=points.device).round().long()
    return points[..., rows, :]
