"""Geometric Jacobian of points that ride on a hand's links.

Index legend: B batch, C points, J driven joints, A all movable joints.
"""

from __future__ import annotations

import torch
from torch import Tensor

from maskdex_core.hands.model import HandModel


def point_jacobian(hand: HandModel, joints: Tensor, link: Tensor, points: Tensor) -> Tensor:
    """Return d point / d joints in the palm frame.

    Args:
        hand: the hand.
        joints: (B, J) rad.
        link: (C,) or (B, C) link index that each point is fixed to.
        points: (B, C, 3) m, palm frame.

    Returns:
        (B, C, 3, J) in m/rad, mimic joints folded into their drivers.
    """
    child, axes = (constant.to(joints.device) for constant in hand.joint_axes)
    frames = hand.link_transforms(joints)[:, child]  # (B, A, 4, 4)
    axis = (frames[..., :3, :3] @ axes.to(joints)[None, :, :, None]).squeeze(-1)  # (B, A, 3)
    arm = points[:, :, None] - frames[:, None, :, :3, 3]  # (B, C, A, 3)
    moves = hand.link_moved_by.to(joints)[link.expand(points.shape[:2])]  # (B, C, A)
    full = torch.linalg.cross(axis[:, None].expand_as(arm), arm) * moves[..., None]
    return full.transpose(2, 3) @ hand.mimic_matrix.to(full)
