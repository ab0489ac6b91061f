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
    transforms = hand.link_transforms(joints)
    link = link.expand(points.shape[:2])
    columns = []
    for name in hand.all_joint_names:
        joint = hand.urdf.joints[name]
        frame = transforms[:, hand.link_index(joint.child)]  # (B, 4, 4)
        axis = frame[:, :3, :3] @ torch.as_tensor(joint.axis, dtype=joints.dtype, device=joints.device)
        arm = points - frame[:, None, :3, 3]
        moves = hand.link_descends_from(joint.child)[link]  # (B, C)
        columns.append(torch.cross(axis[:, None].expand_as(arm), arm, dim=-1) * moves[..., None])
    full = torch.stack(columns, -1)  # (B, C, 3, A)
    return full @ hand.mimic_matrix.to(full)
