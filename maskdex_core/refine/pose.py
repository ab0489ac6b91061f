"""`HandPose`: a batch of hand configurations on an object, for any hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class HandPose:
    """B configurations of one hand.

    Attributes:
        joints: (B, J) rad, the hand's `joint_names` order.
        rotation: (B, 3, 3) object_from_palm.
        translation: (B, 3) m, palm origin in the object frame.
    """

    joints: Tensor
    rotation: Tensor
    translation: Tensor

    def __len__(self) -> int:
        return len(self.joints)

    def __getitem__(self, index: Tensor | slice | list[int]) -> HandPose:
        return HandPose(self.joints[index], self.rotation[index], self.translation[index])

    @property
    def object_from_palm(self) -> Tensor:
        """(B, 4, 4) m."""
        matrix = self.rotation.new_zeros(len(self.joints), 4, 4)
        matrix[:, :3, :3], matrix[:, :3, 3], matrix[:, 3, 3] = self.rotation, self.translation, 1.0
        return matrix

    def to_object(self, points: Tensor) -> Tensor:
        """Move palm-frame points (B, P, 3) into the object frame."""
        return points @ self.rotation.transpose(1, 2) + self.translation[:, None]

    def where(self, condition: Tensor, other: HandPose) -> HandPose:
        """Return these configurations where `condition` (B,) holds, the other's elsewhere."""
        return HandPose(
            torch.where(condition[:, None], self.joints, other.joints),
            torch.where(condition[:, None, None], self.rotation, other.rotation),
            torch.where(condition[:, None], self.translation, other.translation),
        )

    @staticmethod
    def joined(poses: Sequence[HandPose]) -> HandPose:
        """Return batches one after another."""
        return HandPose(
            torch.cat([pose.joints for pose in poses]),
            torch.cat([pose.rotation for pose in poses]),
            torch.cat([pose.translation for pose in poses]),
        )
