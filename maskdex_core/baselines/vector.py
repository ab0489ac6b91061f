"""A grasp as one vector: joint angles, palm rotation in six numbers, palm position; centred and scaled by the data.

Legend: B batch, J joints, V = J + 9 numbers of a grasp.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskdex_core.grasp.decoder import PalmPose
from maskdex_core.grasp.pointnet import LENGTH_SCALE
from maskdex_core.grasp.rotation import matrix_from_6d, sixd_from_matrix
from maskdex_core.grasp.surface import HandSurface
from maskdex_core.grasp.types import GraspBatch

LEAST_SCALE = 1e-2  # of a number that hardly varies in the data


class GraspVector(nn.Module):
    """Poses to vectors of mean 0 and variance 1, and back."""

    lower: Tensor
    upper: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, hand: HandSurface) -> None:
        super().__init__()
        self.joint_names = tuple(hand.joint_names)
        self.register_buffer("lower", hand.lower.clone().float(), persistent=False)
        self.register_buffer("upper", hand.upper.clone().float(), persistent=False)
        self.register_buffer("mean", torch.zeros(self.size))
        self.register_buffer("scale", torch.ones(self.size))

    @property
    def size(self) -> int:
        """Numbers of a grasp V."""
        return len(self.joint_names) + 9

    def fit(self, joints: Tensor, palm: PalmPose) -> None:
        """Take mean and deviation from many grasps; `encode` documents the arguments."""
        raw = self._raw(joints, palm)
        self.mean.copy_(raw.mean(0))
        self.scale.copy_(raw.std(0).clamp_min(LEAST_SCALE))

    def encode(self, joints: Tensor, palm: PalmPose) -> Tensor:
        """Return vectors (B, V) of joints (B, J) rad and palm poses in the object frame."""
        return (self._raw(joints, palm) - self.mean) / self.scale

    def decode(self, vectors: Tensor, centroid: Tensor) -> GraspBatch:
        """Return the grasps of vectors (B, V), joints inside their limits, palms shifted by `centroid` (3,) m."""
        raw = vectors * self.scale + self.mean
        count = len(self.joint_names)
        return GraspBatch(
            joint_names=self.joint_names,
            joints=torch.minimum(torch.maximum(raw[:, :count], self.lower), self.upper),
            palm_rotation=matrix_from_6d(raw[:, count : count + 6]),
            palm_translation=raw[:, count + 6 :] / LENGTH_SCALE + centroid,
        )

    def _raw(self, joints: Tensor, palm: PalmPose) -> Tensor:
        return torch.cat((joints, sixd_from_matrix(palm.rotation), LENGTH_SCALE * palm.translation), -1)
