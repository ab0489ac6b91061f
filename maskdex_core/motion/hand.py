"""What motion planning needs from a hand model: limits of its driven joints and spheres that cover it.

Index legend: T configurations, J driven joints, S spheres.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from maskdex_core.hands.covering import covering_spheres
from maskdex_core.motion.collision import FingerPair, HandSpheres, distinct_rows
from maskdex_core.motion.types import JointLimits

if TYPE_CHECKING:
    from maskdex_core.hands.model import HandModel


def hand_limits(hand: HandModel) -> JointLimits:
    """Return the limits of the driven joints, in the model's order; velocities are the URDF's."""
    count = len(hand.joint_names)
    return JointLimits(
        names=hand.joint_names,
        lower=hand.lower.double().numpy(),
        upper=hand.upper.double().numpy(),
        velocity=np.array([hand.urdf.joints[name].velocity for name in hand.joint_names]),
        acceleration=np.full(count, hand.spec.acceleration),
        jerk=np.full(count, hand.spec.jerk),
    )


def hand_spheres(hand: HandModel) -> HandSpheres:
    """Return spheres that cover the hand, in the frame of the flange it is mounted on."""
    import torch

    link_index, point, radius = covering_spheres(hand)
    radii = radius.double().numpy()
    flange_from_palm = hand.flange_from_palm()

    @lru_cache(maxsize=64)
    def shape(key: bytes) -> np.ndarray:
        return placed(np.frombuffer(key)[None])

    def placed(shapes: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            transforms = hand.link_transforms(torch.tensor(shapes, dtype=torch.float32))
            in_palm = hand.place(transforms, link_index, point).double().numpy()
        return in_palm @ flange_from_palm[:3, :3].T + flange_from_palm[:3, 3]

    def centers(positions: np.ndarray) -> np.ndarray:
        # the hand stands still for most of a motion
        shapes, which = distinct_rows(np.asarray(positions, dtype=np.float64))
        moved = shape(shapes.tobytes()) if len(shapes) == 1 else placed(shapes)
        return moved[which]

    return HandSpheres(radii, centers, _finger_pairs(hand, radii, centers))


def _finger_pairs(
    hand: HandModel, radii: np.ndarray, centers: Callable[[np.ndarray], np.ndarray]
) -> tuple[FingerPair, ...]:
    """Return what of the fingers can meet: inner spheres of two fingers that are apart with the hand open.

    Neighbours whose spheres overlap at their roots do so by design.
    """
    part = hand.link_part.numpy()[hand.sphere_link.numpy()]
    opened = np.clip(np.zeros(len(hand.joint_names)), hand.lower.double().numpy(), hand.upper.double().numpy())
    at = centers(opened[None])[0]
    pairs = []
    for names in combinations(hand.finger_names, 2):
        of_first, of_second = (np.flatnonzero(part == hand.part_names.index(name)) for name in names)
        first, second = (grid.ravel() for grid in np.meshgrid(of_first, of_second))
        free = np.linalg.norm(at[first] - at[second], axis=1) > radii[first] + radii[second]
        if free.any():
            pairs.append(FingerPair(names, first[free], second[free]))
    return tuple(pairs)
