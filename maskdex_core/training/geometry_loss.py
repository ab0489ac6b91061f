"""What a grasp of expected codes does in space: where its skin lies, how deep in the object, how far off its contacts.

MaskHand (section 3.3) trains a masked transformer through mean codes so that its loss can be geometric; for a hand that
grasps, geometry is the object's too. Joint limits need no term: the decoder cannot leave them.

Legend: B batch, M skin points, P object points.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from maskdex_core.grasp.decoder import DecodedGrasp, PalmPose
from maskdex_core.grasp.pointnet import LENGTH_SCALE
from maskdex_core.grasp.surface import HandSurface, hand_points, part_selection
from maskdex_core.grasp.tokenizer import safe_norm

SKIN_POINTS = 288
CONTACT = 0.004  # m from the surface within which the true skin touches
REACH = 0.03  # m beyond which the nearest point of the surface says nothing of inside and outside


@dataclass(frozen=True)
class ObjectSkin:
    """Points all round the objects of a batch, object frame."""

    points: Tensor
    """(B, P, 3) m."""
    normals: Tensor
    """(B, P, 3) outward."""


class GeometryLoss:
    """Skin points off their true places, depth beyond the true one, true contacts that are off the surface; in dm."""

    def __init__(self, hand: HandSurface) -> None:
        self._hand = hand
        self._selection = part_selection(hand.surface_part, len(hand.part_names), SKIN_POINTS)

    def __call__(self, expected: DecodedGrasp, joints: Tensor, palm: PalmPose, skin: ObjectSkin) -> Tensor:
        """Return the sum of the three a row (B,).

        Args:
            expected: decoded from mean codes. joints, palm: the true grasps. skin: of their objects.
        """
        made, true = self._skin(expected.joints, expected.palm), self._skin(joints, palm)
        away, near = signed_distance(made, skin)
        with torch.no_grad():
            true_away, true_near = signed_distance(true, skin)
        deeper = ((-away).clamp_min(0.0) - (-true_away).clamp_min(0.0)).clamp_min(0.0) * near
        touching = ((true_away.abs() < CONTACT) & true_near).to(away.dtype)
        off = ((away - true_away).abs() * touching).sum(1) / touching.sum(1).clamp_min(1.0)
        return LENGTH_SCALE * (safe_norm(made - true).mean(1) + deeper.mean(1) + off)

    def _skin(self, joints: Tensor, palm: PalmPose) -> Tensor:
        return hand_points(self._hand, self._selection, joints, palm.rotation, palm.translation).flatten(1, 2)


def signed_distance(points: Tensor, skin: ObjectSkin) -> tuple[Tensor, Tensor]:
    """Return the distance (B, M) m of points (B, M, 3) to the plane of the nearest surface point, negative inside, and
    whether that point is near enough for its sign to hold (B, M)."""
    with torch.no_grad():
        nearest = torch.cdist(points, skin.points).min(2)
    index = nearest.indices.unsqueeze(-1).expand(-1, -1, 3)
    offset = points - skin.points.gather(1, index)
    return (offset * skin.normals.gather(1, index)).sum(-1), nearest.values < REACH
