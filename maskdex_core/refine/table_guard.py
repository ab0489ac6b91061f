"""The table as the motion's verdict sees it: nothing of the hand's skin below its top.

Contacts are made by the hand's inner spheres, which leave edges and corners of boxes out; a hand of boxes that keeps
only those above the table is turned away later.

Index legend: B batch, S covering spheres, N of them too low, L links, J driven joints, D unknowns (see `rows.py`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from maskdex_core.hands.covering import covering_spheres
from maskdex_core.hands.model import HandModel
from maskdex_core.refine.contacts import HandView
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.residuals import Residuals
from maskdex_core.refine.rows import HandMotion

CLEARANCE = 0.001  # m that the skin keeps
SCALE = 0.001  # m below that, which cost 1
RAISE_STEPS = 4
LOWEST = 8  # spheres that a step of `raised` looks at
DAMPING = 1e-5  # m²/rad²


class TableGuard:
    """One hand above a table whose top is at `height` m in the object frame."""

    def __init__(self, hand: HandModel, height: float) -> None:
        self._hand, self._height = hand, height
        self._link, self._center, self._radius = covering_spheres(hand)

    def residuals(self, pose: HandPose, motion: HandMotion, view: HandView) -> Residuals:
        """Return what stands lower than `CLEARANCE` above the table; a goal of `refine`."""
        lacking = self._lacking(view.links)
        count = int((lacking > 0).sum(1).max())
        lowest, sphere = lacking.topk(count, dim=1)
        lowest = lowest.clamp(min=0.0)
        rows = self._upward(motion, view.links, sphere)
        return Residuals(lowest / SCALE, rows * ((lowest > 0).float() / -SCALE)[..., None])

    def depth(self, pose: HandPose) -> Tensor:
        """Return how deep (B,) in m the hand's skin is below the table's top."""
        links = self._hand.link_transforms(pose.joints, pose.object_from_palm)
        return (self._lacking(links) - CLEARANCE).amax(1).clamp(min=0.0)

    def raised(self, pose: HandPose, joints: Tensor) -> Tensor:
        """Return joints (B, J) rad, bent by the least that brings the fingers above the table.

        Args:
            pose: where the palm is; it stays. joints: (B, J) rad, where to begin.
        """
        for _ in range(RAISE_STEPS):
            now = HandPose(joints, pose.rotation, pose.translation)
            links = self._hand.link_transforms(joints, now.object_from_palm)
            lowest, sphere = self._lacking(links).topk(LOWEST, dim=1)
            if not (lowest > CLEARANCE).any():
                break
            low = (lowest > 0).float()
            rows = self._upward(HandMotion(self._hand, now, links), links, sphere)[..., : joints.shape[1]]
            rows = rows * low[..., None]
            gram = rows @ rows.transpose(1, 2) + DAMPING * torch.eye(LOWEST)
            bend = rows.transpose(1, 2) @ torch.linalg.solve(gram, (lowest * low)[..., None])
            joints = self._hand.clamp(joints + bend.squeeze(-1))
        return joints

    def _lacking(self, links: Tensor) -> Tensor:
        """Return (B, S) m that each sphere lacks to its clearance, for object_from_link (B, L, 4, 4)."""
        upward = links[:, self._link, 2]  # (B, S, 4)
        height = (upward[..., :3] * self._center).sum(-1) + upward[..., 3]
        return self._radius + (self._height + CLEARANCE) - height

    def _upward(self, motion: HandMotion, links: Tensor, sphere: Tensor) -> Tensor:
        """Return how the heights of spheres (B, N) change with the unknowns: (B, N, D)."""
        frame = links.gather(1, self._link[sphere][..., None, None].expand(-1, -1, 4, 4))
        points = (frame[..., :3, :3] @ self._center[sphere][..., None]).squeeze(-1) + frame[..., :3, 3]
        return motion.along(self._link[sphere], points, torch.tensor([0.0, 0.0, 1.0]).expand_as(points))
