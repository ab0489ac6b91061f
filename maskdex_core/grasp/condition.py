"""Condition vectors of the transformer: [TASK], the text, the object and patches of its surface.

Legend: B batch, P object points, E text embedding size, W width, Q patches, M points of a patch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskdex_core.grasp.config import TransformerConfig
from maskdex_core.grasp.patches import PatchEncoder
from maskdex_core.grasp.pointnet import LENGTH_SCALE, PointNet


class GraspCondition(nn.Module):
    """Fuses text and object into (B, 3 + Q, W): the learned [TASK], the text, the object, its patches."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.task = nn.Parameter(0.02 * torch.randn(width))
        self.text_projection = nn.Linear(config.text_dim, width)
        values = int(config.touch_width > 0)
        self.object_encoder = PointNet(3 + values, config.object_widths, width)
        self.patch_encoder = (
            PatchEncoder(config.object_patches, config.patch_points, width, config.heads, values)
            if config.object_patches
            else None
        )
        self.no_text = nn.Parameter(0.02 * torch.randn(width))
        self.no_object = nn.Parameter(0.02 * torch.randn(1 + config.object_patches, width))
        self.norm = nn.LayerNorm(width)

    @property
    def count(self) -> int:
        """Number of condition vectors."""
        return 3 + self.config.object_patches

    def forward(self, points: Tensor, text: Tensor, drop: Tensor | None = None, touch: Tensor | None = None) -> Tensor:
        """Return condition vectors.

        Args:
            points: (B, P, 3) object points in m in the object frame.
            text: (B, E) text embeddings.
            drop: (B,) bool, rows that lose text and object; None drops none.
            touch: (B, P) chance that each point is touched, if the network has a `TouchMap`.

        Returns:
            (B, 3 + Q, W).
        """
        words = self.text_projection(text).unsqueeze(1)
        shape = self._object(points * LENGTH_SCALE, None if touch is None else touch.unsqueeze(-1))
        if drop is not None:
            rows = drop[:, None, None]
            words = torch.where(rows, self.no_text.to(words.dtype), words)
            shape = torch.where(rows, self.no_object.to(shape.dtype), shape)
        joined = torch.cat((words, shape), 1)
        task = self.task.to(joined.dtype).expand(len(joined), 1, -1)
        return torch.cat((task, self.norm(joined)), 1)

    def unconditional(self, batch: int) -> Tensor:
        """Return the vectors (B, 3 + Q, W) of dropped conditions."""
        blank = torch.cat((self.no_text[None], self.no_object))
        return torch.cat((self.task[None], self.norm(blank))).expand(batch, -1, -1)

    def _object(self, points: Tensor, values: Tensor | None) -> Tensor:
        rows = points if values is None else torch.cat((points, values), -1)
        whole = self.object_encoder(rows).unsqueeze(1)
        if self.patch_encoder is None:
            return whole
        return torch.cat((whole, self.patch_encoder(points, values)[0]), 1)


def thin_points(points: Tensor, count: int) -> Tensor:
    """Return at most `count` points of (..., P, C), spread evenly over the list, always the same ones."""
    total = points.shape[-2]
    if total <= count:
        return points
    rows = torch.linspace(0, total - 1, count, device=points.device).round().long()
    return points[..., rows, :]
