"""What motion planning needs from a hand model: limits of its driven joints and spheres that cover it.

Index legend: T configurations, J driven joints, S spheres.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from maskdex_core.motion.collision import FingerPair, HandSpheres, distinct_rows
from maskdex_core.motion.types import JointLimits

if TYPE_CHECKING:
    from maskdex_core.hands.model import HandModel

SKIN_RADIUS = 0.005
"""m, radius of the spheres that are added under the skin where a link's own leave it bare"""
BARE = 0.003
"""m that skin may stick out of the spheres"""


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

    links, points, radii = _covering(hand)
    link_index, point = torch.tensor(links), torch.tensor(points, dtype=torch.float32)
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


def _covering(hand: HandModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return links (S,), centres (S, 3) m in the link frame, radii (S,) m of spheres that cover the skin.

    The model's inner spheres leave edges and corners of boxes bare. There, the barest skin point first,
    small spheres are put just under the skin until none sticks out by more than `BARE`.
    """
    links, centers, radii = (
        array.double().numpy() for array in (hand.sphere_link, hand.sphere_center, hand.sphere_radius)
    )
    skin_link = hand.surface_link.numpy()
    skin, normal = hand.surface_point.double().numpy(), hand.surface_normal.double().numpy()
    bare = np.full(len(skin), np.inf)
    for link, center, radius in zip(links, centers, radii, strict=True):
        bare = np.where(skin_link == link, np.minimum(bare, _outside(skin, center, radius)), bare)
    added: list[int] = []
    while bare.max() > BARE and len(added) < len(skin):
        worst = int(np.argmax(bare))
        added.append(worst)
        under = skin[worst] - SKIN_RADIUS * normal[worst]
        gap = _outside(skin, under, SKIN_RADIUS)
        bare = np.where(skin_link == skin_link[worst], np.minimum(bare, gap), bare)
    return (
        np.concatenate([links, skin_link[added]]).astype(np.int64),
        np.concatenate([centers, skin[added] - SKIN_RADIUS * normal[added]]),
        np.concatenate([radii, np.full(len(added), SKIN_RADIUS)]),
    )


def _outside(points: np.ndarray, center: np.ndarray, radius: float) -> np.ndarray:
    return np.linalg.norm(points - center, axis=1) - radius
