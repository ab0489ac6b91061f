"""From where a hand comes: the straight way back from the grasp that clears the object best."""

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
    options = torch.cat([torch.einsum("bij,dj->bdi", open_hand.rotation, local), down], 1)
    costs = torch.stack([_way_cost(scene, open_hand, options[:, i], distance) for i in range(options.shape[1])], 1)
    best = costs.argmin(1)
    rows = torch.arange(len(open_hand))
    return options[rows, best], costs[rows, best]


def _way_cost(scene: HandOnObject, open_hand: HandPose, direction: Tensor, distance: float) -> Tensor:
    cost = torch.zeros(len(open_hand))
    with torch.no_grad():
        # The last centimetre may touch: that is where fingers close in.
        for step in torch.linspace(0.01, distance, STEPS):
            moved = HandPose(open_hand.joints, open_hand.rotation, open_hand.translation - step * direction)
            cost = cost + scene.crowding(moved)
    return cost
