"""Hands off where the text wants no touch: links there do not close, and the skin near there keeps its distance.

Index legend: B batch, S spheres, C contact links, P observed points.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.optimizer import RefineConfig, RefineResult, nearly_touching, refine
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.ranking import best_chance

LEAST_WANTED = 0.6  # share of the best place's chance below which a place is to be left alone
DISTANCE = 0.0045  # m that the skin keeps from such a place beyond its clearance: out of the squeeze's reach
PLACES = 512  # observed points that are asked: as many as the map was made of


@dataclass(frozen=True)
class HandsOff:
    """What lies where the text wants no touch: links (B, C) and spheres (B, S), both bool."""

    links: Tensor
    spheres: Tensor


def hands_off(scene: HandOnObject, pose: HandPose, seen: Tensor, touch: Tensor) -> HandsOff:
    """Return what lies nearest to a place that is to be left alone.

    Args:
        scene, pose: the grasps. seen: (P, 3) m, observed points, object frame. touch: (P,) chance of each to be
            touched.
    """
    view, every = scene.look(pose), max(1, len(seen) // PLACES)
    seen, alone = seen[::every], touch[::every] < LEAST_WANTED * best_chance(touch)
    places = torch.cat((view.contacts.point, view.centers), 1)  # (B, C + S, 3)
    nearest = torch.cdist(places.flatten(0, 1), seen.to(places)).argmin(1).view(places.shape[:2])
    links, spheres = alone[nearest].split([view.contacts.gap.shape[1], view.skin.shape[1]], 1)
    return HandsOff(links, spheres)


def refine_hands_off(
    scene: HandOnObject, start: HandPose, config: RefineConfig, seen: Tensor, touch: Tensor,
    movable: Tensor | None = None, hold_palm: bool = False,
) -> RefineResult:  # fmt: skip
    """Bring configurations into contact where the text wants them, and out of it elsewhere.

    Args:
        scene, start, config, movable, hold_palm: as in `refine`. seen, touch: as in `hands_off`.
    """
    with torch.no_grad():
        off = hands_off(scene, start, seen, touch)
        active = nearly_touching(scene, start, config) * ~off.links
    return refine(scene, start, config, active, movable, hold_palm, further=DISTANCE * off.spheres)
