"""Grasps on a known object come with all that a hand is commanded."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from held_grasps import held_grasps

from maskdex_core.grasp.types import GraspBatch
from maskdex_core.hands import HandModel
from maskdex_core.metrics.grasp_test import quick_tests
from maskdex_core.metrics.observation import observe
from maskdex_core.planning.object_grasps import sample_on_object
from maskdex_core.planning.proposals import pose_of
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.optimizer import RefineConfig
from maskdex_core.refine.pose import HandPose

HAND = HandModel.load("shadow")
NEAR = 20  # the finger spheres that stand nearest


class Stored:
    """Proposes the stored grasp of a can, wherever the observation put its origin."""

    def __init__(self, center: np.ndarray) -> None:
        self.shift = -torch.tensor(center, dtype=torch.float32)

    def embed(self, text: str) -> torch.Tensor:
        return torch.zeros(4)

    def touch_map(self, points: torch.Tensor, text: torch.Tensor) -> None:
        return None

    def sample(self, points: torch.Tensor, text: torch.Tensor, n: int, generator: object = None) -> GraspBatch:
        pose = held_grasps()["can"].pose[[0] * n]
        return GraspBatch(HAND.joint_names, pose.joints, pose.rotation, pose.translation + self.shift)


def test_sampled_grasps_hold_when_closed_from_their_own_pregrasp_far_from_the_object():
    pytest.importorskip("mujoco", reason="no simulator: pip install 'maskdex_ros[sim]'")
    from maskdex_core.physics.hold_test import HoldTest

    target = held_grasps()["can"].target
    geometry = observe(target, "full", np.random.default_rng(0))
    made = sample_on_object(Stored(geometry.center), HAND, geometry, "hold it", 2, None, RefineConfig())
    assert quick_tests(HoldTest(HAND, target), made, np.zeros(3))[0].all()  # in the object's own frame
    scene, pose = HandOnObject(HAND, target.sdf, 0.0), pose_of(made)
    centers = scene.centers(HandPose(made.pregrasp, pose.rotation, pose.translation))
    gap = (scene.sdf.distance(centers) - HAND.sphere_radius)[:, HAND.sphere_part > 0]
    assert float(gap.sort(-1).values[:, :NEAR].mean()) > 0.01
