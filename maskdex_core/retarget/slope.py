"""Contacts on surfaces that look up: what presses there is held by friction alone, and slips where a normal errs.

A thin object on a table tempts every hand to press on its upper edges.

Index legend: B grasps, C contact links.
"""

from __future__ import annotations

import torch
from torch import Tensor

from maskdex_core.hands.model import HandModel
from maskdex_core.refine.contacts import HandOnObject, HandView
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.residuals import Goal, Residuals
from maskdex_core.refine.rows import HandMotion
from maskdex_core.refine.squeeze import Closing

LEVEL = 0.1  # upward part of a normal up to which friction carries what presses downward
SCALE = 0.1  # of that above `LEVEL`, which costs 1
ROUNDING = 0.02  # m; radius assumed of the edge that a contact leaves by going down


def pressed_slope(scene: HandOnObject, closing: Closing, pose: HandPose) -> Tensor:
    """Return the mean over the closing's normal forces of how far the surface looks up there (B,), in 0..1."""
    normal = scene.contacts(pose).normal
    force = -(closing.forces * normal).sum(-1).clamp(max=0.0)  # (B, C) N, into the object
    share = force / force.sum(-1, keepdim=True).clamp(min=1e-6)
    return (share * normal[..., 2].clamp(min=0.0)).sum(-1)


def level_goal(hand: HandModel, active: Tensor) -> Goal:
    """Return residuals that draw contacts down from surfaces that look up.

    The field has no curvature to differentiate; a step that its rounding misjudges is undone by the optimiser.

    Args:
        active: (B, C) 0..1, the links that should touch.
    """

    def residuals(pose: HandPose, motion: HandMotion, view: HandView) -> Residuals:
        contacts = view.contacts
        excess = (contacts.normal[..., 2] - LEVEL).clamp(min=0.0) * active / SCALE
        points = view.centers.gather(1, contacts.sphere[..., None].expand(-1, -1, 3))
        up = torch.tensor([0.0, 0.0, 1.0]).expand_as(points)
        rows = motion.along(hand.sphere_link[contacts.sphere], points, up)
        slope = (excess > 0).float() * active / (SCALE * ROUNDING)
        return Residuals(excess, rows * slope[..., None])

    return residuals
