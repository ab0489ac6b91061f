"""Pose retargeting: fingertips where the source's were, the palm free within bounds; the object is not felt.

Index legend: B grasps, F fingers both hands have, D unknowns (see `refine/rows.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from maskdex_core.hands.model import HandModel
from maskdex_core.refine.optimizer import RefineConfig, descend
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.residuals import Residuals
from maskdex_core.refine.rows import HandMotion, rotation_exp
from maskdex_core.retarget.landmarks import aligned, knuckles, shared_fingers

TIP_SCALE = 0.001  # m; the fingertip error that costs 1
JOINT, TURN, SHIFT = 1.0, 0.5, 0.03  # rad, rad, m: moves that damping holds to be alike


@dataclass(frozen=True)
class MatchConfig:
    """Effort and freedom.

    Attributes:
        closings: how far the hand is closed at each try's start (0 open, 1 closed).
        solved: m; where the worst fingertip is nearer than this, no other try is made.
        palm_shift: m, palm_turn: rad that the palm may leave its start, measured at the knuckles. The start lays
            the hand's finger bases and tips on the source's.
        descent: steps and their largest size.
    """

    closings: tuple[float, ...] = (0.5, 0.3)
    solved: float = 1e-4
    palm_shift: float = 0.05
    palm_turn: float = 1.05
    descent: RefineConfig = field(
        default_factory=lambda: RefineConfig(steps=14, largest_bend=0.5, largest_turn=0.4, largest_shift=0.05)
    )


@dataclass(frozen=True)
class Matched:
    """B configurations of the target hand, and the distance (B, F) m of its fingertips to where they should be."""

    pose: HandPose
    error: Tensor
    fingers: tuple[str, ...]


def match_fingertips(
    source: HandModel, grasp: HandPose, target: HandModel, config: MatchConfig | None = None
) -> Matched:
    """Put the target's fingertips where the source's namesakes are, at scale 1.

    Raises:
        HandError: when the hands share fewer than two fingers.
    """
    fingers = shared_fingers(source, target)
    rows = [source.finger_names.index(finger) for finger in fingers]
    goal = grasp.to_object(source.tip_points(grasp.joints))[:, rows]
    return match_points(source, grasp, target, fingers, goal, torch.ones(goal.shape[:2]), config or MatchConfig())


def match_points(
    source: HandModel, grasp: HandPose, target: HandModel, fingers: tuple[str, ...], goal: Tensor, weight: Tensor,
    config: MatchConfig,
) -> Matched:  # fmt: skip
    """Put the target's fingertips at points.

    Args:
        source, grasp: B grasps, on which the hand is laid first.
        fingers: F names. goal: (B, F, 3) m, object frame. weight: (B, F) of each finger.
    """
    with torch.no_grad():
        best = Matched(aligned(source, grasp, target, fingers, 0.0), torch.full(goal.shape[:2], torch.inf), fingers)
        for closing in config.closings:
            left = torch.nonzero(best.error.amax(-1) > config.solved)[:, 0]
            if len(left) == 0:
                break
            start = aligned(source, grasp[left], target, fingers, closing)
            found = match_from(target, start, fingers, goal[left], weight[left], config)
            best = _better(best, found, left, weight)
        return best


def match_from(
    target: HandModel, start: HandPose, fingers: tuple[str, ...], goal: Tensor, weight: Tensor, config: MatchConfig
) -> Matched:
    """Put the target's fingertips at points from B starts, round which the palm is bounded; else as `match_points`."""
    tips = Fingertips(target, fingers, goal, weight)
    bound = palm_bound(target, start, config.palm_shift, config.palm_turn)
    free = torch.ones(start.joints.shape[1] + 6)
    pose, _ = descend(target, tips, start, config.descent, free, bound)
    return Matched(pose, tips.error(pose), fingers)


class Fingertips:
    """Residuals of fingertips: an error of 1 mm costs 1."""

    def __init__(self, hand: HandModel, fingers: tuple[str, ...], goal: Tensor, weight: Tensor) -> None:
        """Take F fingers, their goals (B, F, 3) m in the object frame, and weights (B, F)."""
        columns = [hand.finger_names.index(finger) for finger in fingers]
        self._hand, self._goal, self._root = hand, goal, weight.sqrt() / TIP_SCALE
        self._link, self._point = (tensor[columns] for tensor in hand.tips)
        joints = len(hand.joint_names)
        self.prior_weight = 1 / torch.tensor([JOINT] * joints + [TURN] * 3 + [SHIFT] * 3)

    def __call__(self, pose: HandPose) -> Residuals:
        """Return the residuals (B, 3F), x of all fingers first."""
        links = self._hand.link_transforms(pose.joints, pose.object_from_palm)
        placed = self._hand.place(links, self._link, self._point)
        motion, count = HandMotion(self._hand, pose, links), len(self._link)
        axes = torch.eye(3).repeat_interleave(count, 0).expand(len(placed), -1, -1)
        rows = motion.along(self._link.repeat(3), placed.repeat(1, 3, 1), axes)
        root = self._root.repeat(1, 3)
        return Residuals((placed - self._goal).transpose(1, 2).flatten(1) * root, rows * root[..., None])

    def error(self, pose: HandPose) -> Tensor:
        """Return the distances (B, F) in m."""
        links = self._hand.link_transforms(pose.joints, pose.object_from_palm)
        return (self._hand.place(links, self._link, self._point) - self._goal).norm(dim=-1)


def palm_bound(hand: HandModel, start: HandPose, shift: float, turn: float) -> Callable[[HandPose], HandPose]:
    """Return what brings a palm back to within `shift` m (at the knuckles) and `turn` rad of its start."""
    center = knuckles(hand)
    origin = start.rotation @ center + start.translation

    def bound(pose: HandPose) -> HandPose:
        relative = pose.rotation @ start.rotation.transpose(1, 2)
        vector = torch.stack([relative[:, 2, 1] - relative[:, 1, 2], relative[:, 0, 2] - relative[:, 2, 0],
                              relative[:, 1, 0] - relative[:, 0, 1]], -1)  # fmt: skip
        cosine = (relative.diagonal(dim1=1, dim2=2).sum(-1) - 1) / 2
        angle = torch.arccos(cosine.clamp(-1, 1))
        axis = vector / vector.norm(dim=-1, keepdim=True).clamp(min=1e-9)
        inside = (angle <= turn)[:, None, None]
        rotation = torch.where(inside, pose.rotation, rotation_exp(axis * turn) @ start.rotation)
        moved = pose.rotation @ center + pose.translation - origin
        length = moved.norm(dim=-1, keepdim=True)
        moved = moved * (shift / length.clamp(min=shift))
        return HandPose(pose.joints, rotation, origin + moved - rotation @ center)

    return bound


def _better(best: Matched, found: Matched, rows: Tensor, weight: Tensor) -> Matched:
    """Return `best` with those of its `rows` replaced that another try has matched more closely."""
    share = weight[rows]
    won = (found.error * share).sum(-1) < (best.error[rows] * share).sum(-1)
    at, pose = rows[won], best.pose
    joints, rotation, translation = pose.joints.clone(), pose.rotation.clone(), pose.translation.clone()
    joints[at], rotation[at], translation[at] = (
        found.pose.joints[won], found.pose.rotation[won], found.pose.translation[won]
    )  # fmt: skip
    error = best.error.clone()
    error[at] = found.error[won]
    return Matched(HandPose(joints, rotation, translation), error, best.fingers)
