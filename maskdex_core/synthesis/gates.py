"""What a candidate must satisfy before physics sees it: geometry, table, and a posture that a hand would take."""

from __future__ import annotations

import torch
from torch import Tensor

from maskdex_core.metrics.penetration import HandSolid
from maskdex_core.metrics.posture import natural_posture, unnatural
from maskdex_core.objects.target_object import TargetObject
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.pose import HandPose

DEEPEST = 0.002  # m in the object, and of the hand in itself
TABLE_DEEPEST = 0.001  # m in the table, hand closed
TABLE_DEEPEST_OPEN = 0.002  # m in the table, pre-grasp
PREGRASP_CLEARANCE = 0.0  # m; a touching pre-grasp throws a free object away
LEAST_NATURAL = 0.2  # posture score; below it fingertips bend over straight fingers
SURFACE_POINTS = 4096


class Gates:
    """The gates of one hand on one object."""

    def __init__(self, scene: HandOnObject, target: TargetObject) -> None:
        self._scene, self._solid = scene, HandSolid(scene.hand)
        # The spheres that refinement sees leave gaps in flat boxes: the hand's exact shapes are asked too.
        self._points = torch.as_tensor(target.sample_surface(SURFACE_POINTS)[0], dtype=torch.float32)

    def closed_fits(self, pose: HandPose) -> Tensor:
        """Return (B,) bool: the closed hand's spheres are out of object and table."""
        scene = self._scene
        with torch.no_grad():
            return (scene.penetration(pose) < DEEPEST) & (scene.table_depth(pose) < TABLE_DEEPEST)

    def opens(self, pose: HandPose, pregrasp: Tensor) -> Tensor:
        """Return (B,) bool: so are the open one's, which do not touch the object at all."""
        scene = self._scene
        opened = HandPose(pregrasp, pose.rotation, pose.translation)
        with torch.no_grad():
            return (scene.clearance(opened) > PREGRASP_CLEARANCE) & (scene.table_depth(opened) < TABLE_DEEPEST_OPEN)

    def natural(self, pose: HandPose) -> Tensor:
        """Return (B,) bool: a hand would take this posture (`metrics/posture.py`)."""
        sound = torch.tensor([reason is None for reason in unnatural(self._scene, pose)], dtype=torch.bool)
        return sound & (natural_posture(self._scene.hand, pose.joints) > LEAST_NATURAL)

    def solid(self, pose: HandPose) -> Tensor:
        """Return (B,) bool: the hand's exact shapes are out of the object and of each other."""
        with torch.no_grad():
            outside = self._solid.penetration(pose, self._points) < DEEPEST
            return outside & (self._solid.self_penetration(pose.joints) < DEEPEST)
