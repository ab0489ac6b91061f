"""From a grasp to one latent vector a part: read as skin points in the object frame, or as pose and joints.

Legend: B batch, N parts, M skin points a part, D code size, J joints.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskdex_core.grasp.decoder import PalmPose, joint_slots
from maskdex_core.grasp.pointnet import LENGTH_SCALE, GroupedLinear, GroupedPointNet
from maskdex_core.grasp.rotation import sixd_from_matrix
from maskdex_core.grasp.surface import HandSurface, hand_points, part_selection

POSE_SIZE = 9  # six numbers of the rotation, three of the translation


class PointEncoder(nn.Module):
    """The paper's: one PointNet a part on its skin points in the object frame."""

    def __init__(self, parts: int, points: int, widths: tuple[int, ...], dim: int) -> None:
        super().__init__()
        self.parts, self.points = parts, points
        self.net = GroupedPointNet(parts, 3, widths, dim)

    def forward(self, hand: HandSurface, joints: Tensor, palm: PalmPose) -> Tensor:
        """Encode grasps: joints (B, J) rad, palm pose in the object frame → (B, N, D)."""
        with torch.no_grad():
            selection = part_selection(hand.surface_part, self.parts, self.points)
            points = hand_points(hand, selection, joints, *palm)  # (B, N, M, 3)
        return self.net(points * LENGTH_SCALE)


class PoseEncoder(nn.Module):
    """The palm is read as its pose in the object frame, a finger as its joint angles: nothing is lost or shared."""

    lower: Tensor
    upper: Tensor
    column: Tensor

    def __init__(self, joint_part: Tensor, lower: Tensor, upper: Tensor, width: int, dim: int) -> None:
        """Build one three-layer net a part.

        Args:
            joint_part: (J,) part of each joint, none of them 0: part 0 is the palm.
            lower, upper: (J,) limits, rad.
            width: hidden size. dim: code size D.
        """
        super().__init__()
        parts = int(joint_part.max()) + 1
        inputs = max(POSE_SIZE, joint_slots(joint_part))
        self.parts, self.inputs = parts, inputs
        self.register_buffer("lower", lower.clone().float(), persistent=False)
        self.register_buffer("upper", upper.clone().float(), persistent=False)
        self.register_buffer("column", _columns(joint_part, inputs), persistent=False)
        self.first = GroupedLinear(parts, inputs, width)
        self.second = GroupedLinear(parts, width, width)
        self.head = GroupedLinear(parts, width, dim)

    def forward(self, hand: HandSurface, joints: Tensor, palm: PalmPose) -> Tensor:
        """Encode grasps: joints (B, J) rad, palm pose in the object frame → (B, N, D)."""
        rows = joints.new_zeros(len(joints), self.parts * self.inputs)
        rows[:, self.column] = 2.0 * (joints - self.lower) / (self.upper - self.lower) - 1.0
        pose = torch.cat((sixd_from_matrix(palm.rotation), palm.translation * LENGTH_SCALE), -1)
        rows[:, :POSE_SIZE] = pose
        grouped = rows.view(len(joints), self.parts, self.inputs).transpose(0, 1)
        hidden = F.gelu(self.second(F.gelu(self.first(grouped))))
        return self.head(hidden).transpose(0, 1)


def _columns(joint_part: Tensor, inputs: int) -> Tensor:
    """Return where each joint stands in the flattened (parts × inputs) row."""
    used: dict[int, int] = {}
    columns = []
    for part in joint_part.tolist():
        columns.append(part * inputs + used.get(part, 0))
        used[part] = used.get(part, 0) + 1
    return torch.tensor(columns)
