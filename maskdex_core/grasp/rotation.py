"""Rotations as 3×3 matrices and as 6 numbers (Zhou et al. 2019), batched and differentiable."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def matrix_from_6d(six: Tensor) -> Tensor:
    """Turn two vectors into a rotation by Gram–Schmidt: (..., 6) → (..., 3, 3).

    The six numbers are the first two columns of the matrix, one after the other.
    """
    first = F.normalize(six[..., :3], dim=-1)
    rest = six[..., 3:]
    second = F.normalize(rest - (first * rest).sum(-1, keepdim=True) * first, dim=-1)
    return torch.stack((first, second, torch.linalg.cross(first, second)), -1)


def sixd_from_matrix(rotation: Tensor) -> Tensor:
    """Return the first two columns of rotations (..., 3, 3) as (..., 6)."""
    return rotation[..., :2].transpose(-1, -2).flatten(-2)


def geodesic_angle(first: Tensor, second: Tensor) -> Tensor:
    """Return the angle in rad, 0..π, between rotations (..., 3, 3) and (..., 3, 3)."""
    difference = first.transpose(-1, -2) @ second
    cosine = 0.5 * (difference.diagonal(dim1=-2, dim2=-1).sum(-1) - 1.0)
    skew = difference - difference.transpose(-1, -2)
    sine = torch.stack((skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]), -1).norm(dim=-1) * 0.5
    # atan2 keeps full precision near 0 and π, where acos loses half the digits.
    return torch.atan2(sine, cosine)


def rotation_about_z(angle: Tensor) -> Tensor:
    """Return rotations (..., 3, 3) about +z by angles (...) in rad."""
    cosine, sine = angle.cos(), angle.sin()
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    rows = (cosine, -sine, zero, sine, cosine, zero, zero, zero, one)
    return torch.stack(rows, -1).unflatten(-1, (3, 3))
