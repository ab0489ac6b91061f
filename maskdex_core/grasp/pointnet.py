"""PointNets: one for the object, and several of equal shape that run as one batched product.

Legend: B batch, G groups (hand parts), M points a group, P points, C channels, D embedding size.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LENGTH_SCALE = 10.0
"""Networks see decimetres: hands and objects then have coordinates of order one."""


class GroupedLinear(nn.Module):
    """G independent linear layers applied by one batched matrix product: (G, R, I) → (G, R, O)."""

    def __init__(self, groups: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(groups, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(groups, 1, outputs))

    def forward(self, rows: Tensor, chosen: Tensor | None = None) -> Tensor:
        """Apply layer g, or layer chosen[g], to rows[g]."""
        if chosen is None:
            return torch.baddbmm(self.bias, rows, self.weight)
        return torch.baddbmm(self.bias[chosen], rows, self.weight[chosen])


class GroupedPointNet(nn.Module):
    """G PointNets without shared weights: point-wise layers, maximum over points, linear head."""

    def __init__(self, groups: int, channels: int, widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        sizes = [channels, *widths]
        self.layers = nn.ModuleList(GroupedLinear(groups, a, b) for a, b in itertools.pairwise(sizes))
        self.hidden = GroupedLinear(groups, widths[-1], outputs)
        self.head = GroupedLinear(groups, outputs, outputs)

    def forward(self, points: Tensor) -> Tensor:
        """Embed points (B, G, M, C) → (B, G, D)."""
        batch, groups, count, _ = points.shape
        rows = points.transpose(0, 1).flatten(1, 2)  # (G, B·M, C)
        for layer in self.layers[:-1]:
            rows = F.relu(layer(rows))
        rows = self.layers[-1](rows)
        pooled = F.relu(_pool(rows.view(groups, batch, count, -1)))  # (G, B, W)
        return self.head(F.gelu(self.hidden(pooled))).transpose(0, 1)


class PointNet(nn.Module):
    """One PointNet: point-wise layers, maximum over points, two-layer head."""

    def __init__(self, channels: int, widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        sizes = [channels, *widths]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        self.hidden = nn.Linear(widths[-1], outputs)
        self.head = nn.Linear(outputs, outputs)

    def forward(self, points: Tensor) -> Tensor:
        """Embed points (B, P, C) → (B, D)."""
        rows = points
        for layer in self.layers[:-1]:
            rows = F.relu(layer(rows))
        return self.head(F.gelu(self.hidden(F.relu(_pool(self.layers[-1](rows))))))


def _pool(rows: Tensor) -> Tensor:
    """Return the maximum over points (..., P, W) → (..., W).

    The layer's ReLU comes after it: the maximum of rectified values is the rectified maximum, on far
    fewer numbers. `max` instead of `amax` because its gradient touches one point only.
    """
    return rows.max(-2).values
