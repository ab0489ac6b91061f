"""From codes back to a grasp: each finger from its own code, so that an edit stays where it was asked for.

Fingers in the object frame (paper): the palm is decoded from all codes, a finger from its own code and the palm
pose. Fingers in the palm frame: palm and fingers from their own codes alone. Either way, with the palm held,
exchanging one finger's token leaves every other finger exactly where it was.

Legend: B batch, N parts, D code size, J joints.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
    """Decoded from all codes, whatever palm the fingers were decoded on."""


class GraspDecoder(nn.Module):
    """Codes (B, N, D) → joint angles and palm pose."""

    lower: Tensor
    upper: Tensor
    joint_row: Tensor

    def __init__(
        self,
        parts: int,
        dim: int,
        width: int,
        joint_part: Tensor,
        lower: Tensor,
        upper: Tensor,
        finger_frame: str = "object",
    ) -> None:
        """Build the palm's decoder and one decoder a jointed part.

        Args:
            finger_frame: see `TokenizerConfig`.
            parts: number of parts N; part 0 is the palm.
            dim: code size D.
            width: hidden size of the palm's decoder; a finger's is half of it.
            joint_part: (J,) part of each joint.
            lower: (J,) limits, rad.
            upper: (J,) limits, rad.
        """
        super().__init__()
        owners = sorted({int(part) for part in joint_part})
        slots = joint_slots(joint_part)
        self.owners, self.in_palm = owners, finger_frame == "palm"
        palm_parts, pose_inputs = (1, 0) if self.in_palm else (parts, 9)
        self.register_buffer("lower", lower.clone().float(), persistent=False)
        self.register_buffer("upper", upper.clone().float(), persistent=False)
        self.register_buffer("joint_row", _joint_rows(joint_part, owners, slots), persistent=False)
        self.palm_layers = nn.Sequential(
            nn.Linear(palm_parts * dim, width), nn.GELU(), nn.Linear(width, width // 2), nn.GELU()
        )
        self.palm_out = nn.Linear(width // 2, 9)
        hidden = width // 2
        self.finger_in = GroupedLinear(len(owners), dim + pose_inputs, hidden)
        self.finger_middle = GroupedLinear(len(owners), hidden, hidden)
        self.finger_out = GroupedLinear(len(owners), hidden, slots)

    def forward(self, codes: Tensor, fingers_on: PalmPose | None = None, hold: Tensor | None = None) -> DecodedGrasp:
        """Decode codes.

        Args:
            codes: (B, N, D).
            fingers_on: palm pose on which the fingers are decoded; the decoded one if None.
            hold: (B,) bool, rows to which `fingers_on` applies; None is every row.

        Returns:
            Joints and the palm decoded from the codes.
        """
        palm = self.palm(codes)
        base = palm
        if fingers_on is not None:
            base = fingers_on if hold is None else _choose(hold, fingers_on, palm)
        return DecodedGrasp(self.fingers(codes, base), palm)

    def palm(self, codes: Tensor) -> PalmPose:
        """Decode the palm pose from codes (B, N, D): from all of them, or from its own."""
        read = codes[:, 0] if self.in_palm else codes.flatten(1)
        raw = self.palm_out(self.palm_layers(read)).float()
        return PalmPose(matrix_from_6d(raw[:, :6]), raw[:, 6:] / LENGTH_SCALE)

    def fingers(self, codes: Tensor, palm: PalmPose) -> Tensor:
        """Decode joint angles (B, J) rad from each finger's code (B, N, D), in the object frame also the palm."""
        rows = codes[:, self.owners].transpose(0, 1)  # (F, B, D)
        if not self.in_palm:
            pose = torch.cat((sixd_from_matrix(palm.rotation), palm.translation * LENGTH_SCALE), -1).detach()
            rows = torch.cat((rows, pose.to(rows.dtype).expand(len(self.owners), -1, -1)), -1)
        rows = F.gelu(self.finger_middle(F.gelu(self.finger_in(rows))))
        slots = self.finger_out(rows).transpose(0, 1).flatten(1).float()  # (B, F · slots)
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


def _choose(hold: Tensor, held: PalmPose, decoded: PalmPose) -> PalmPose:
    rotation = torch.where(hold[:, None, None], held.rotation, decoded.rotation)
    return PalmPose(rotation, torch.where(hold[:, None], held.translation, decoded.translation))
