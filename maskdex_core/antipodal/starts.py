"""Where grasps without a network start: the thumb–finger axis of a preshaped hand laid on an antipodal pair."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from maskdex_core.antipodal.grasp_types import GraspType, preshapes
from maskdex_core.hands.model import HandModel
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.pose import HandPose

ROLLS = 8
FACING = 0.85  # cosine between a normal and the way to the other point


class Sampled(Protocol):
    """A surface that gives points, normals and part indices; every target object is one."""

    def sample_surface(self, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...


def antipodal_pairs(target: Sampled, widest: float, part: int | None, rng: np.random.Generator) -> np.ndarray:
    """Return pairs (P, 2, 3) m of facing surface points no wider apart than `widest`.

    Args:
        target: the object. part: index of the part the first point must lie on; None for any.
    """
    points, normals, parts = target.sample_surface(1500, seed=int(rng.integers(1 << 30)))
    mine = np.flatnonzero(parts == part) if part is not None else np.arange(len(points))
    if len(mine) < 8:
        return np.zeros((0, 2, 3))
    first = rng.choice(mine, size=min(600, 4 * len(mine)))
    # Products instead of differences (first, point, 3): a tenth of the time.
    along = points[first] @ points.T
    own = (points * points).sum(-1)
    width = np.sqrt(np.maximum(own[first, None] + own[None] - 2 * along, 0.0))
    leaving = (points[first] * normals[first]).sum(-1)[:, None] - normals[first] @ points.T  # times the width
    arriving = (points * normals).sum(-1)[None] - points[first] @ normals.T
    good = (width > 0.004) & (width < widest) & (leaving > FACING * width) & (arriving > FACING * width)
    if part is not None:
        good &= (parts == part)[None]
    rows, columns = np.nonzero(good)
    if len(rows) == 0:
        return np.zeros((0, 2, 3))
    chosen = rng.choice(len(rows), size=min(400, len(rows)), replace=False)
    return np.stack([points[first[rows[chosen]]], points[columns[chosen]]], 1)


def start_poses(
    hand: HandModel, scene: HandOnObject, grasp_type: GraspType, pairs: np.ndarray, count: int,
    generator: torch.Generator,
) -> HandPose:  # fmt: skip
    """Return `count` start configurations, each the least penetrating of eight rolls about its pair."""
    joints = preshapes(hand, grasp_type, count, generator)
    thumb, fingers = _pads(hand, grasp_type, joints)
    pair = torch.as_tensor(pairs, dtype=torch.float32)[torch.randint(len(pairs), (count,), generator=generator)]
    hand_axis = F.normalize(fingers - thumb, dim=-1)
    object_axis = F.normalize(pair[:, 1] - pair[:, 0], dim=-1)
    # The palm's normal (−y) completes the hand's frame on the axis.
    hand_frame = _frame(hand_axis, torch.tensor([0.0, -1.0, 0.0]).expand(count, 3))
    phase = 2 * torch.pi * torch.rand(count, 1, generator=generator)
    helper = torch.where(object_axis[:, 2:].abs() < 0.9, torch.tensor([0.0, 0, 1]), torch.tensor([1.0, 0, 0]))
    base = _frame(object_axis, helper)
    angle = phase + 2 * torch.pi * torch.arange(ROLLS)[:, None, None] / ROLLS  # (R, count, 1)
    direction = torch.cos(angle) * base[..., 1] + torch.sin(angle) * base[..., 2]
    rotation = _frame(object_axis.expand_as(direction), direction) @ hand_frame.transpose(1, 2)
    middle = (thumb + fingers) / 2
    translation = pair.mean(1) - (rotation @ middle[..., None]).squeeze(-1)
    every = HandPose(joints.repeat(ROLLS, 1), rotation.flatten(0, 1), translation.flatten(0, 1))
    best = _crowding(scene, every).view(ROLLS, count).argmin(0)
    rows = torch.arange(count)
    return HandPose(joints, rotation[best, rows], translation[best, rows])


def _crowding(scene: HandOnObject, pose: HandPose) -> Tensor:
    """Return how deep (B,) the spheres sit in object and table, summed."""
    with torch.no_grad():
        return scene.crowding(pose)


def _pads(hand: HandModel, grasp_type: GraspType, joints: Tensor) -> tuple[Tensor, Tensor]:
    """Return the thumb's pad (B, 3) and the mean pad (B, 3) of the opposing fingers, palm frame."""
    transforms = hand.link_transforms(joints)
    pads = {}
    for finger in hand.finger_names:
        tip = hand.spec.tips[finger]
        link = hand.link_index(tip["link"])
        point = torch.tensor(tip["xyz"], dtype=torch.float32) * 0.75 + 0.006 * hand.link_palmar[link]
        pads[finger] = hand.place(transforms, torch.tensor([link]), point[None])[:, 0]
    opposing = torch.stack([pads[finger] for finger in grasp_type.fingers]).mean(0)
    return pads["thumb"], opposing


def _frame(axis: Tensor, toward: Tensor) -> Tensor:
    """Return right-handed frames (B, 3, 3): first column `axis`, second nearest to `toward`."""
    second = F.normalize(toward - (toward * axis).sum(-1, keepdim=True) * axis, dim=-1)
    return torch.stack([axis, second, torch.linalg.cross(axis, second)], -1)
