"""Limits and covering spheres of the real hand model, and a plan with it on the arm."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from motion_scene import HAND_NAMES, home_state, top_down

from maskdex_core.hands.covering import BARE
from maskdex_core.hands.model import HandModel
from maskdex_core.motion.arm import Arm
from maskdex_core.motion.collision import CollisionModel, World
from maskdex_core.motion.hand import hand_limits, hand_spheres
from maskdex_core.motion.phases import plan_motion
from maskdex_core.motion.verdict import check_trajectory

CENTRE = np.array([0.45, 0.05])


@pytest.fixture(scope="module")
def hand() -> HandModel:
    return HandModel.load("freedom_v2")


def test_limits_are_those_of_the_driven_joints(hand: HandModel) -> None:
    limits = hand_limits(hand)
    assert limits.names == HAND_NAMES
    np.testing.assert_allclose(limits.lower, [-0.4363, 0, 0, 0, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(limits.upper, [0.43663, 1.3786, 0.4537, 1.396, 1.396, 1.396, 1.396], atol=1e-3)
    np.testing.assert_array_equal(limits.velocity, np.full(7, 1.5))
    np.testing.assert_array_equal(limits.acceleration, np.full(7, 10.0))


def test_spheres_cover_the_skin_in_any_pose(hand: HandModel) -> None:
    limits, spheres = hand_limits(hand), hand_spheres(hand)
    rng = np.random.default_rng(0)
    poses = rng.uniform(limits.lower, limits.upper, (5, 7))
    centers = spheres.centers(poses)
    assert centers.shape == (5, len(spheres.radii), 3) and len(spheres.radii) < 400
    skin = hand.surface_points(torch.tensor(poses, dtype=torch.float32)).numpy()
    for center, points in zip(centers, skin, strict=True):
        outside = (np.linalg.norm(points[:, None] - center, axis=2) - spheres.radii).min(axis=1)
        assert outside.max() < BARE + 2e-4


def test_equal_poses_in_one_call_stand_equally(hand: HandModel) -> None:
    spheres = hand_spheres(hand)
    pose = np.array([0.1, 0.5, 0.2, 0.3, 0.4, 0.5, 0.6])
    centers = spheres.centers(np.stack([pose, np.zeros(7), pose]))
    np.testing.assert_array_equal(centers[0], centers[2])
    assert np.abs(centers[0] - centers[1]).max() > 0.01


def test_fingers_meet_where_their_skins_do(hand: HandModel) -> None:
    """The reported depth of finger pairs against the distance of their skins, in random poses."""
    limits, model = hand_limits(hand), CollisionModel(Arm.load("xarm7"), World(hand=hand_spheres(hand)))
    poses = np.random.default_rng(4).uniform(limits.lower, limits.upper, (40, 7))
    found = model.fingers(poses)
    met = 0
    for pose, distance, pair in zip(poses, found.distance, found.pair, strict=True):
        names = found.labels[pair].split(" and ")
        first, second = (hand.surface_part == hand.part_names.index(name) for name in names)
        skin = hand.surface_points(torch.tensor(pose[None], dtype=torch.float32))[0]
        apart = float(torch.cdist(skin[first], skin[second]).min())
        # skin points are some 3 mm apart; overlapping skins are near each other too
        assert apart >= distance - 0.002
        assert distance > 0.0 or apart < 0.006
        met += distance < 0.0
    assert 0 < met < 40


def test_home_with_the_hand_is_free(hand: HandModel) -> None:
    arm = Arm.load("xarm7")
    model = CollisionModel(arm, World(hand=hand_spheres(hand)))
    posed = model.pose(arm.home[None], np.zeros((1, 7)))
    assert model.hand_arm(posed).distance[0] > 0.02
    assert model.hand_table(posed).distance[0] > 0.1


def test_a_plan_with_the_real_hand_passes_the_verdict(hand: HandModel) -> None:
    arm, limits = Arm.load("xarm7"), hand_limits(hand)
    world = World(table_height=0.0, hand=hand_spheres(hand))  # this is about motion, not about the grasp
    targets = top_down(CENTRE, height=0.09)
    bounded = {
        key: np.clip(getattr(targets, key), limits.lower, limits.upper)
        for key in ("hand_pregrasp", "hand_grasp", "hand_squeeze")
    }
    plan = plan_motion(arm, limits, home_state(arm), dataclasses.replace(targets, **bounded), world)
    assert check_trajectory(plan, arm, limits, home_state(arm), world).ok
    lower = dataclasses.replace(world, table_height=0.06)
    assert any("hand and table" in r for r in check_trajectory(plan, arm, limits, home_state(arm), lower).reasons)
