"""Where on the object the text wants the hand: a chance for every point, read by everything that places the hand.

Trained by which parts of the object each grasp touches, so that "by the handle" becomes a place before any code is
drawn. (Grounding a task in a map of the object: TaskGrasp, Murali 2020; here it conditions the tokens.)

Legend: B batch, P object points, Q patches, W width, E text embedding size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskdex_core.errors import ConfigError
from maskdex_core.grasp.patches import PatchEncoder
from maskdex_core.grasp.pointnet import LENGTH_SCALE
from maskdex_core.masked.transformer import Block

PATCHES, PATCH_POINTS, HEADS, LAYERS = 32, 16, 4, 2
NEAREST = 3  # patches whose features a point mixes, by nearness


class TouchMap(nn.Module):
    """Text and patches of the surface attend to each other; a point reads the patches about it."""

    def __init__(self, text_dim: int, width: int) -> None:
        """Build the map of a text embedding's size and a width.

        Raises:
            ConfigError: when the heads cannot share the width.
        """
        super().__init__()
        if width % HEADS:
            raise ConfigError(f"touch_width {width} is not divisible by {HEADS}, the map's attention heads")
        self.words = nn.Sequential(nn.Linear(text_dim, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.patches = PatchEncoder(PATCHES, PATCH_POINTS, width, HEADS)
        self.blocks = nn.ModuleList(Block(width, HEADS, 2, 0.0, memory=False) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(width)
        self.first = nn.Linear(width + 6, width)
        self.second = nn.Linear(width, 1)

    def forward(self, points: Tensor, text: Tensor) -> Tensor:
        """Return log-odds (B, P) of touch.

        Args:
            points: (B, P, 3) m in the object frame. text: (B, E).
        """
        scaled = points * LENGTH_SCALE
        patches, centers = self.patches(scaled)
        stream = torch.cat((self.words(text).unsqueeze(1).to(patches.dtype), patches), 1)
        for block in self.blocks:
            stream = block(stream)
        share, nearest = nearest_shares(scaled, centers)
        mixed = share.to(stream.dtype) @ self.norm(stream[:, 1:])  # (B, P, W)
        offset = scaled - centers.gather(1, nearest.expand(-1, -1, 3))
        return self.second(F.gelu(self.first(torch.cat((mixed, scaled, offset), -1)))).squeeze(-1).float()


@torch.no_grad()
def nearest_shares(points: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
    """Return how points (B, P, 3) mix the patches at (B, Q, 3), (B, P, Q), and the nearest one (B, P, 1).

    Dense, because the gradient of one product is far cheaper than that of many picked rows.
    """
    near = torch.cdist(points, centers).topk(NEAREST, largest=False)
    weight = 1.0 / (near.values + 0.01)
    share = torch.zeros(*points.shape[:2], centers.shape[1], device=points.device)
    share.scatter_(2, near.indices, weight / weight.sum(-1, keepdim=True))
    return share, near.indices[..., :1]
