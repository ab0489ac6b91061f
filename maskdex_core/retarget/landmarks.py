"""Landmarks that hands share, fingers that stand in for missing ones, and how one hand is laid on another.

Index legend: B grasps, F fingers both hands have, M landmarks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from maskdex_core.errors import HandError
from maskdex_core.hands.model import HandModel
from maskdex_core.refine.pose import HandPose


def shared_fingers(source: HandModel, target: HandModel) -> tuple[str, ...]:
    """Return the fingers that both hands have, in canonical order.

    Raises:
        HandError: when there are fewer than two.
    """
    fingers = tuple(finger for finger in source.finger_names if finger in target.finger_names)
    if len(fingers) < 2:
        raise HandError(
            f"hands {source.name!r} and {target.name!r} share {len(fingers)} fingers; at least 2 are needed"
        )
    return fingers


def played_by(source: HandModel, target: HandModel, fingers: tuple[str, ...], touch: Tensor) -> Tensor:
    """Return which finger of the source each shared finger follows: columns (B, F) into the source's fingers.

    A finger follows its namesake, unless that one does not touch while a finger that the target lacks does and
    names this one as its stand-in (`HandSpec.missing`). Missing fingers without a stand-in are dropped.

    Args:
        touch: (B, fingers of source) bool.
    """
    columns = torch.tensor([source.finger_names.index(finger) for finger in fingers]).repeat(len(touch), 1)
    for missing, stand_in in target.spec.missing.items():
        if missing in source.finger_names and stand_in in fingers:
            column, theirs = fingers.index(stand_in), source.finger_names.index(missing)
            idle = ~touch.gather(1, columns[:, column : column + 1]).squeeze(1)
            columns[idle & touch[:, theirs], column] = theirs
    return columns


def aligned(
    source: HandModel, grasp: HandPose, target: HandModel, fingers: tuple[str, ...], closing: float
) -> HandPose:
    """Return the target hand partly closed (0 open, 1 closed), its landmarks laid on the source's."""
    joints = ((1 - closing) * target.lower + closing * target.upper).expand(len(grasp), -1)
    goal = grasp.to_object(_landmarks(source, grasp.joints, fingers))
    rotation, translation = rigid_fit(_landmarks(target, joints[:1], fingers).expand(len(grasp), -1, -1), goal)
    return HandPose(joints.clone(), rotation, translation)


def rigid_fit(points: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
    """Return rotation (B, 3, 3) and translation (B, 3) m that lay points (B, M, 3) on `goal` (Kabsch 1976)."""
    center, goal_center = points.mean(1, keepdim=True), goal.mean(1, keepdim=True)
    u, _, vt = torch.linalg.svd((points - center).transpose(1, 2) @ (goal - goal_center))
    flip = torch.ones(len(points), 3)
    flip[:, 2] = torch.sign(torch.linalg.det(vt.transpose(1, 2) @ u.transpose(1, 2)))
    rotation = vt.transpose(1, 2) @ torch.diag_embed(flip) @ u.transpose(1, 2)
    return rotation, goal_center[:, 0] - (rotation @ center.transpose(1, 2)).squeeze(-1)


def knuckles(hand: HandModel) -> Tensor:
    """Return the middle (3,) m of the bases of the fingers that are no thumb, palm frame."""
    links = [hand.link_index(hand.spec.parts[finger][0]) for finger in hand.finger_names if finger != "thumb"]
    neutral = hand.clamp(torch.zeros(1, len(hand.joint_names)))
    return hand.link_transforms(neutral)[0, links, :3, 3].mean(0)


def _landmarks(hand: HandModel, joints: Tensor, fingers: tuple[str, ...]) -> Tensor:
    """Return finger bases, then fingertips, (B, 2F, 3) m in the palm frame."""
    transforms = hand.link_transforms(joints)
    bases = torch.tensor([hand.link_index(hand.spec.parts[finger][0]) for finger in fingers])
    columns = [hand.finger_names.index(finger) for finger in fingers]
    return torch.cat([transforms[:, bases, :3, 3], hand.tip_points(joints)[:, columns]], 1)
