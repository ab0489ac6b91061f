"""How points that ride on the hand move: rows of the Jacobian along given directions.

The unknowns of a step are x = (δ joints, δ rotation, δ translation): driven joints in rad, a rotation
vector about the palm's origin and a shift, both in the object frame.

Index legend: B batch, M points, J driven joints, A all movable joints, D = J + 6 unknowns.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from maskdex_core.hands.model import HandModel
from maskdex_core.refine.pose import HandPose


class HandMotion:
    """The hand's joint axes at one pose; gives Jacobian rows of any points on its links."""

    def __init__(self, hand: HandModel, pose: HandPose, links: Tensor) -> None:
        """Take the pose's object_from_link transforms (B, L, 4, 4)."""
        carried, axes = hand.joint_axes
        frames = links.index_select(1, carried)  # (B, A, 4, 4)
        self._axis = (frames[..., :3, :3] @ axes[None, :, :, None]).squeeze(-1)  # (B, A, 3), object frame
        self._moment = torch.linalg.cross(self._axis, frames[..., :3, 3])
        self._moves, self._mimic = _moves(hand), hand.mimic_matrix
        self._all_driven = len(hand.all_joint_names) == len(hand.joint_names)
        self._palm = pose.translation[:, None]

    def along(self, link: Tensor, points: Tensor, direction: Tensor) -> Tensor:
        """Return d(direction · point)/dx.

        Args:
            link: (M,) or (B, M) link of each point.
            points: (B, M, 3) m, object frame. direction: (B, M, 3), object frame.

        Returns:
            (B, M, D).
        """
        torque = torch.linalg.cross(points, direction)
        bend = torch.baddbmm(torque @ self._axis.transpose(1, 2), direction, self._moment.transpose(1, 2), alpha=-1)
        bend = bend * self._moves[link]  # (B, M, A)
        if not self._all_driven:
            bend = bend @ self._mimic
        turn = torque - torch.linalg.cross(self._palm.expand_as(direction), direction)
        return torch.cat([bend, turn, direction], -1)


@lru_cache(maxsize=16)
def _moves(hand: HandModel) -> Tensor:
    """Return (L, A) float: 1 where a movable joint moves a link."""
    return hand.link_moved_by.float()


def apply_step(hand: HandModel, pose: HandPose, step: Tensor) -> HandPose:
    """Return the pose moved by unknowns (B, D), joints clipped to their limits."""
    count = pose.joints.shape[1]
    joints = hand.clamp(pose.joints + step[:, :count])
    rotation = rotation_exp(step[:, count : count + 3]) @ pose.rotation
    return HandPose(joints, rotation, pose.translation + step[:, count + 3 :])


def rotation_exp(vector: Tensor) -> Tensor:
    """Return rotation matrices (B, 3, 3) of rotation vectors (B, 3) in rad (Rodrigues)."""
    angle = vector.norm(dim=-1)[:, None, None].clamp(min=1e-8)
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(-1, 3, 3) / angle
    return torch.eye(3) + torch.sin(angle) * skew + (1 - torch.cos(angle)) * (skew @ skew)
