"""Patches of an object's surface: where they lie and what shape they have, one vector each.

Legend: B batch, P points, V values a point carries, Q patches, M points of a patch, W width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskdex_core.masked.transformer import Block

PATCH_SCALE = 5.0
"""Offsets from a patch's centre are a few centimetres; the network sees them of order one."""


class PatchEncoder(nn.Module):
    """Farthest points as centres, a small PointNet on each one's neighbours, one round of attention among them."""

    def __init__(self, patches: int, neighbours: int, width: int, heads: int, values: int = 0) -> None:
        """Build the encoder of points that carry some `values` besides their place."""
        super().__init__()
        self.patches, self.neighbours = patches, neighbours
        self.first = nn.Linear(6 + values, width // 2)
        self.second = nn.Linear(width // 2, width)
        self.place = nn.Sequential(nn.Linear(3, width), nn.GELU(), nn.Linear(width, width))
        self.mix = Block(width, heads, feedforward=2, dropout=0.0, memory=False)

    def forward(self, points: Tensor, values: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Encode points (B, P, 3) in dm and their values (B, P, V) → (B, Q, W), and the patches' places (B, Q, 3)."""
        centers = points.gather(1, farthest_points(points, self.patches).unsqueeze(-1).expand(-1, -1, 3))
        near = torch.cdist(centers, points).topk(min(self.neighbours, points.shape[1]), largest=False).indices
        batch = torch.arange(len(points), device=points.device)[:, None, None]
        own = points[batch, near]  # (B, Q, M, 3)
        seen = [PATCH_SCALE * (own - centers.unsqueeze(2)), own]
        if values is not None:
            seen.append(values[batch, near])
        shape = self.second(F.gelu(self.first(torch.cat(seen, -1)))).max(2).values
        return self.mix(shape + self.place(centers)), centers


@torch.no_grad()
def farthest_points(points: Tensor, count: int) -> Tensor:
    """Return indices (B, count) of points (B, P, 3), each the farthest from those before; the first is row 0.

    A cloud with fewer points than `count` repeats some.
    """
    chosen = torch.zeros(len(points), count, dtype=torch.int64, device=points.device)
    distance = torch.full(points.shape[:2], float("inf"), device=points.device)
    last = chosen[:, 0]
    for index in range(1, count):
        center = points.gather(1, last[:, None, None].expand(-1, 1, 3))
        distance = torch.minimum(distance, (points - center).square().sum(-1))
        last = distance.argmax(1)
        chosen[:, index] = last
    return chosen
