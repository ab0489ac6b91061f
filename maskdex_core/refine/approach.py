"""From where a hand comes: the straight way back from the grasp that clears the object best.

Index legend: B batch, D directions, T steps of the way, S spheres.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.pose import HandPose

STEPS = 6


def approach_direction(scene: HandOnObject, open_hand: HandPose, distance: float) -> tuple[Tensor, Tensor]:
    """Choose among the fingers' direction, the palm's normal and straight down.

    Args:
        scene: the hand on the object.
        open_hand: B grasps with the pre-grasp's joints.
        distance: m, length of the approach.

    Returns:
        Unit directions of motion toward the grasp (B, 3), object frame, and the crowding (B,) in m
        left on the way: 0 means that nothing touches.
    """
    hand = scene.hand
    palmar = hand.link_palmar[hand.link_index(hand.spec.root)]
    fingers = F.normalize(torch.tensor(hand.spec.fingers, dtype=torch.float32), dim=0)
    local = torch.stack([fingers, palmar, F.normalize(fingers + palmar, dim=0)])  # (D, 3)
    down = torch.tensor([0.0, 0.0, -1.0]).expand(len(open_hand), 1, 3)
    with torch.no_grad():
        options = torch.cat([torch.einsum("bij,dj->bdi", open_hand.rotation, local), down], 1)  # (B, D, 3)
        costs = _way_costs(scene, open_hand, options, distance)
    best = costs.argmin(1)
    rows = torch.arange(len(open_hand))
    return options[rows, best], costs[rows, best]


def _way_costs(scene: HandOnObject, open_hand: HandPose, directions: Tensor, distance: float) -> Tensor:
    """Return the crowding (B, D) summed over the way along each of the directions (B, D, 3)."""
    # The last centimetre may touch: that is where fingers close in.
    steps = torch.linspace(0.01, distance, STEPS)
    back = directions[:, :, None] * steps[:, None]  # (B, D, T, 3)
    centers = scene.centers(open_hand)[:, None, None] - back[:, :, :, None]  # (B, D, T, S, 3)
    return scene.crowding_at(centers.flatten(0, 2)).view(back.shape[:3]).sum(-1)
