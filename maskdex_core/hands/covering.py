"""Spheres that cover a hand's skin, edges and corners of its boxes too: what must not hit anything.

Index legend: S spheres, N points of the skin.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from maskdex_core.hands.model import HandModel

SKIN_RADIUS = 0.005
"""m, radius of the spheres that are added under the skin where a link's own leave it bare"""
BARE = 0.003
"""m that skin may stick out of the spheres"""


@lru_cache(maxsize=16)
def covering_spheres(hand: HandModel) -> tuple[Tensor, Tensor, Tensor]:
    """Return links (S,), centres (S, 3) m in the link frame, radii (S,) m of spheres that cover the skin.

    The model's inner spheres come first; they leave edges and corners of boxes bare. There, the barest skin point
    first, small spheres are put just under the skin until none sticks out by more than `BARE`.
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
    under_skin = torch.tensor(skin[added] - SKIN_RADIUS * normal[added], dtype=torch.float32).reshape(-1, 3)
    return (
        torch.cat([hand.sphere_link, hand.surface_link[added]]).long(),
        torch.cat([hand.sphere_center, under_skin]),
        torch.cat([hand.sphere_radius, torch.full((len(added),), SKIN_RADIUS)]),
    )


def _outside(points: np.ndarray, center: np.ndarray, radius: float) -> np.ndarray:
    return np.linalg.norm(points - center, axis=1) - radius
