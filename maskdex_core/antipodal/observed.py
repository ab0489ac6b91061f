"""A preshaped hand on pairs of facing points of the observed surface, or of some of its places.

The network-free baseline starts here; so do further draws, where the text wants the hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from maskdex_core.antipodal.grasp_types import GRASP_TYPES
from maskdex_core.antipodal.starts import antipodal_pairs, start_poses
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.sdf import SdfGrid

ANY_WIDTH = 0.2  # m, where no pair fits a grasp type
Places = Callable[[Tensor], Tensor]
"""points (P, 3) m in the object frame → (P,) bool, those that may be touched"""


class FieldSurface:
    """Points on the zero level of a distance field, as `antipodal_pairs` asks for them."""

    def __init__(self, sdf: SdfGrid, places: Places | None = None) -> None:
        """Take the field; `places` tells which of its surface is meant, None all."""
        self._sdf = sdf
        near = torch.nonzero(sdf.field[0, 0].abs() < sdf.spacing).flip(-1).float()  # x, y, z of voxels
        near = sdf.origin + sdf.spacing * near
        self._near = near if places is None else near[places(near)]

    def sample_surface(self, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return points (P, 3) m, normals (P, 3) and part indices (P,), all 0; none where no place is meant."""
        count = count if len(self._near) else 0
        pick = torch.randint(max(1, len(self._near)), (count,), generator=torch.Generator().manual_seed(seed))
        points = self._near[pick]
        for _ in range(2):
            distance, normal = self._sdf.query(points)
            points = points - distance[:, None] * normal
        normal = self._sdf.query(points)[1]
        return points.double().numpy(), normal.double().numpy(), np.zeros(count, int)


def antipodal_starts(scene: HandOnObject, count: int, seed: int, places: Sequence[Places | None] = (None,)) -> HandPose:
    """Return `count` start configurations in the object frame, of all grasp types in turn; none where nothing faces.

    Args:
        scene: hand and object. seed: of everything drawn.
        places: where thumb and fingers may touch, None anywhere; the next is tried where a type fits none of one.
    """
    hand, rng = scene.hand, np.random.default_rng([seed, 5])
    surfaces = [FieldSurface(scene.sdf, allowed) for allowed in places]
    generator = torch.Generator().manual_seed(seed)
    made: list[HandPose] = []
    for index, grasp_type in enumerate(GRASP_TYPES):
        own = len(range(index, count, len(GRASP_TYPES)))
        if own == 0:
            break
        pairs = _first_pairs(surfaces, grasp_type.widest, rng)
        if len(pairs):
            made.append(start_poses(hand, scene, grasp_type, pairs, own, generator))
    if not made:
        return HandPose(torch.zeros(0, len(hand.joint_names)), torch.zeros(0, 3, 3), torch.zeros(0, 3))
    return HandPose(
        *(torch.cat([getattr(pose, key) for pose in made]) for key in ("joints", "rotation", "translation"))
    )


def _first_pairs(surfaces: Sequence[FieldSurface], widest: float, rng: np.random.Generator) -> np.ndarray:
    """Return pairs (P, 2, 3) m of the first surface that has some, of any width where none is narrow enough."""
    for surface in surfaces:
        pairs = antipodal_pairs(surface, widest, None, rng)
        if len(pairs):
            return pairs
    return antipodal_pairs(surfaces[-1], ANY_WIDTH, None, rng)
