"""From codes back to a grasp: each finger from its own code, so that an edit stays where it was asked for.

With the palm held, exchanging one finger's code leaves every other finger exactly where it was.

Legend: B batch, P parts, F fingers, D code size, J joints.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskdex_core.grasp.layout import HandLayout
from maskdex_core.grasp.pointnet import LENGTH_SCALE, GroupedLinear
from maskdex_core.grasp.rotation import matrix_from_6d, sixd_from_matrix


class PalmPose(NamedTuple):
    """Pose of the palm in the object frame (object_from_palm)."""

    rotation: Tensor
    """(B, 3, 3)."""
    translation: Tensor
    """(B, 3) m."""


class DecodedGrasp(NamedTuple):
    """What codes decode to."""

    joints: Tensor
    """(B, J) rad, inside the limits."""
    palm: PalmPose
    """Pose on which the fingers were decoded."""


class PalmDecoder(nn.Module):
    """Codes of all parts, end to end, → palm pose."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, width), nn.GELU(), nn.Linear(width, width // 2), nn.GELU())
        self.out = nn.Linear(width // 2, 9)

    def forward(self, codes: Tensor) -> PalmPose:
        """Decode codes (B, P · D)."""
        raw = self.out(self.layers(codes)).float()
        return PalmPose(matrix_from_6d(raw[:, :6]), raw[:, 6:] / LENGTH_SCALE)


class FingerDecoder(nn.Module):
    """Each finger's code, and the palm pose where it matters, → its joint angles."""

    lower: Tensor
    upper: Tensor
    joint_row: Tensor

    def __init__(self, layout: HandLayout, dim: int, hidden: int, on_palm: bool) -> None:
        """Build one three-layer net a jointed part.

        Args:
            layout: of the hand. dim: code size D. hidden: size.
            on_palm: whether a finger also reads the palm pose, its code being made in the object frame.
        """
        super().__init__()
        joint_part = torch.tensor(layout.joint_part)
        owners = sorted(set(layout.joint_part))
        slots = joint_slots(joint_part)
        self.owners, self.on_palm = owners, on_palm
        self.register_buffer("lower", torch.tensor(layout.lower), persistent=False)
        self.register_buffer("upper", torch.tensor(layout.upper), persistent=False)
        self.register_buffer("joint_row", _joint_rows(joint_part, owners, slots), persistent=False)
        self.first = GroupedLinear(len(owners), dim + (9 if on_palm else 0), hidden)
        self.second = GroupedLinear(len(owners), hidden, hidden)
        self.out = GroupedLinear(len(owners), hidden, slots)

    def forward(self, codes: Tensor, palm: PalmPose | None = None) -> Tensor:
        """Decode codes (B, P, D) of all parts, those without joints unread → joints (B, J) rad inside the limits."""
        rows = codes[:, self.owners].transpose(0, 1)  # (F, B, D)
        if self.on_palm and palm is not None:
            pose = torch.cat((sixd_from_matrix(palm.rotation), palm.translation * LENGTH_SCALE), -1).detach()
            rows = torch.cat((rows, pose.to(rows.dtype).expand(len(self.owners), -1, -1)), -1)
        rows = F.gelu(self.second(F.gelu(self.first(rows))))
        slots = self.out(rows).transpose(0, 1).flatten(1).float()  # (B, F · slots)
        share = torch.sigmoid(slots[:, self.joint_row])
        return self.lower + share * (self.upper - self.lower)


def joint_slots(joint_part: Tensor) -> int:
    """Return the number of joints of the part that has most."""
    return max(int((joint_part == part).sum()) for part in joint_part.unique())


def _joint_rows(joint_part: Tensor, owners: list[int], slots: int) -> Tensor:
    """Return for each joint its column in the flattened (owners × slots) output."""
    used = dict.fromkeys(owners, 0)
    rows = []
    for part in joint_part.tolist():
        rows.append(owners.index(part) * slots + used[part])
        used[part] += 1
    return torch.tensor(rows)


def choose_palm(hold: Tensor, held: PalmPose, decoded: PalmPose) -> PalmPose:
    """Return the held pose in the rows (B,) that hold it, the decoded one in the others."""
    rotation = torch.where(hold[:, None, None], held.rotation, decoded.rotation)
    return PalmPose(rotation, torch.where(hold[:, None], held.translation, decoded.translation))
