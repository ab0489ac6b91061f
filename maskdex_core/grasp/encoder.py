"""From a grasp to one latent vector a part: read as skin points in the object frame, or as joint angles.

Legend: B batch, P parts, F fingers, M skin points a part, D code size, J joints.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskdex_core.grasp.decoder import PalmPose, joint_slots
from maskdex_core.grasp.layout import HandLayout
from maskdex_core.grasp.pointnet import LENGTH_SCALE, GroupedLinear, GroupedPointNet
from maskdex_core.grasp.surface import HandSurface, hand_points, part_selection


class PointEncoder(nn.Module):
    """The paper's: one PointNet a part on its skin points in the object frame."""

    def __init__(self, parts: int, points: int, widths: tuple[int, ...], dim: int) -> None:
        super().__init__()
        self.parts, self.points = parts, points
        self.net = GroupedPointNet(parts, 3, widths, dim)

    def forward(self, hand: HandSurface, joints: Tensor, palm: PalmPose) -> Tensor:
        """Encode grasps: joints (B, J) rad, palm pose in the object frame → (B, P, D)."""
        with torch.no_grad():
            selection = part_selection(hand.surface_part, self.parts, self.points)
            points = hand_points(hand, selection, joints, *palm)  # (B, P, M, 3)
        return self.net(points * LENGTH_SCALE)


class JointEncoder(nn.Module):
    """A finger is read as its joint angles: nothing is lost, and nothing shared with the palm or another finger."""

    lower: Tensor
    upper: Tensor
    column: Tensor

    def __init__(self, layout: HandLayout, width: int, dim: int) -> None:
        """Build one three-layer net a finger.

        Args:
            layout: of the hand; part 0, the palm, has no joints. width: hidden size. dim: code size D.
        """
        super().__init__()
        fingers, joint_part = len(layout.part_names) - 1, torch.tensor(layout.joint_part)
        inputs = joint_slots(joint_part)
        self.fingers, self.inputs = fingers, inputs
        self.register_buffer("lower", torch.tensor(layout.lower), persistent=False)
        self.register_buffer("upper", torch.tensor(layout.upper), persistent=False)
        self.register_buffer("column", _columns(joint_part - 1, inputs), persistent=False)
        self.first = GroupedLinear(fingers, inputs, width)
        self.second = GroupedLinear(fingers, width, width)
        self.head = GroupedLinear(fingers, width, dim)

    def forward(self, joints: Tensor) -> Tensor:
        """Encode joints (B, J) rad → (B, F, D)."""
        rows = joints.new_zeros(len(joints), self.fingers * self.inputs)
        rows[:, self.column] = 2.0 * (joints - self.lower) / (self.upper - self.lower) - 1.0
        grouped = rows.view(len(joints), self.fingers, self.inputs).transpose(0, 1)
        hidden = F.gelu(self.second(F.gelu(self.first(grouped))))
        return self.head(hidden).transpose(0, 1)


def _columns(joint_part: Tensor, inputs: int) -> Tensor:
    """Return where each joint stands in the flattened (fingers × inputs) row."""
    used: dict[int, int] = {}
    columns = []
    for part in joint_part.tolist():
        columns.append(part * inputs + used.get(part, 0))
        used[part] = used.get(part, 0) + 1
    return torch.tensor(columns)
