"""Grasps without a network: a preshaped hand on pairs of facing points of the observed surface.

The one to beat: it gets the same refinement and ranking, and the time that the network's sampling takes.
"""

from __future__ import annotations

import numpy as np
import torch

from maskdex_core.antipodal.grasp_types import GRASP_TYPES
from maskdex_core.antipodal.starts import antipodal_pairs, start_poses
from maskdex_core.hands.model import HandModel
from maskdex_core.planning.geometry import ObjectGeometry
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.sdf import SdfGrid

ANY_WIDTH = 0.2  # m, where no pair fits a grasp type


class FieldSurface:
    """Points on the zero level of a distance field, as `antipodal_pairs` asks for them."""

    def __init__(self, sdf: SdfGrid) -> None:
        self._sdf = sdf

    def sample_surface(self, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return points (P, 3) m, normals (P, 3) and part indices (P,), all 0."""
        values = self._sdf.field[0, 0]
        near = torch.nonzero(values.abs() < self._sdf.spacing).flip(-1).float()  # x, y, z of voxels
        pick = torch.randint(len(near), (count,), generator=torch.Generator().manual_seed(seed))
        points = self._sdf.origin + self._sdf.spacing * near[pick]
        for _ in range(2):
            distance, normal = self._sdf.query(points)
            points = points - distance[:, None] * normal
        normal = self._sdf.query(points)[1]
        return points.double().numpy(), normal.double().numpy(), np.zeros(count, int)


def antipodal_starts(hand: HandModel, geometry: ObjectGeometry, count: int, seed: int) -> HandPose:
    """Return `count` start configurations in the object frame, of all grasp types in turn."""
    scene = HandOnObject(hand, geometry.sdf, geometry.table_height)
    surface, rng = FieldSurface(geometry.sdf), np.random.default_rng([seed, 5])
    generator = torch.Generator().manual_seed(seed)
    made: list[HandPose] = []
    for index, grasp_type in enumerate(GRASP_TYPES):
        own = len(range(index, count, len(GRASP_TYPES)))
        if own == 0:
            break
        pairs = antipodal_pairs(surface, grasp_type.widest, None, rng)
        if len(pairs) == 0:
            pairs = antipodal_pairs(surface, ANY_WIDTH, None, rng)
        if len(pairs):
            made.append(start_poses(hand, scene, grasp_type, pairs, own, generator))
    if not made:
        return HandPose(torch.zeros(0, len(hand.joint_names)), torch.zeros(0, 3, 3), torch.zeros(0, 3))
    return HandPose(
        *(torch.cat([getattr(pose, key) for pose in made]) for key in ("joints", "rotation", "translation"))
    )
