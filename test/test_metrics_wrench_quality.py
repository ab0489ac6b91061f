"""Q1 on contacts whose answer is known, and on grasps that hold."""

import numpy as np
import pytest
import torch
from held_grasps import held_grasps
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from maskdex_core.hands import HandModel
from maskdex_core.metrics.wrench_quality import contact_wrenches, hull_radius, link_contacts, q1, valid_q1
from maskdex_core.refine.pose import HandPose

torch.set_num_threads(1)
HAND = HandModel.load("shadow")
AXES = np.concatenate([np.eye(3), -np.eye(3)])


def _on_cube(half: float) -> np.ndarray:
    """Return the wrenches of one contact in the middle of each face of a cube."""
    return contact_wrenches(half * AXES, -AXES)


def test_the_cross_polytope_has_its_inner_radius():
    corners = np.concatenate([np.eye(6), -np.eye(6)])
    assert hull_radius(corners) == pytest.approx(1 / np.sqrt(6))
    assert hull_radius(0.5 * corners) == pytest.approx(0.5 / np.sqrt(6))
    assert hull_radius(10 * corners) == 1.0  # never more
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    assert hull_radius(corners @ turned) == pytest.approx(1 / np.sqrt(6))


def test_zero_outside_or_a_flat_hull_is_no_quality():
    corners = np.concatenate([np.eye(6), -np.eye(6)])
    assert hull_radius(corners + 0.5) == 0.0
    assert hull_radius(corners[:11]) == 0.0  # zero is a corner
    assert hull_radius(corners[:, [0, 1, 2, 3, 4, 4]]) == 0.0
    assert hull_radius(np.zeros((0, 6))) == 0.0


@pytest.mark.parametrize("half", [0.005, 0.01, 0.02])
def test_a_small_cube_held_on_all_faces_yields_first_to_torque_about_its_diagonal(half):
    # Of a unit torque along (1, 1, 1)/√3 each face's friction bears the part across its normal: √(2/3).
    assert hull_radius(_on_cube(half)) == pytest.approx(np.sqrt(2 / 3) * 10 * half, rel=1e-6)


def test_a_large_cube_yields_first_to_force():
    assert hull_radius(_on_cube(1.0)) == pytest.approx(hull_radius(_on_cube(10.0)), rel=0.02)
    assert hull_radius(_on_cube(10.0)) <= 1.0


def test_friction_cone_edges():
    wrenches = contact_wrenches(np.array([[0.0, 0.0, 0.1]]), np.array([[0.0, 0.0, -1.0]]))
    force, torque = wrenches[:, :3], wrenches[:, 3:]
    assert len(wrenches) == 8 and np.allclose(force[:, 2], -1)
    assert np.allclose(np.linalg.norm(force[:, :2], axis=-1), 1)
    assert np.allclose(torque, 10 * np.cross([0.0, 0.0, 0.1], force))
    angle = np.sort(np.arctan2(force[:, 1], force[:, 0]))
    assert np.allclose(np.diff(angle), np.pi / 4)


def test_two_opposed_points_bear_no_torque_about_their_line():
    arms = 0.03 * AXES[[0, 3]]
    assert hull_radius(contact_wrenches(arms, -AXES[[0, 3]])) == 0.0
    third = np.concatenate([arms, [[0.0, 0.03, 0.0]]]), np.concatenate([-AXES[[0, 3]], [[0.0, -1.0, 0.0]]])
    assert hull_radius(contact_wrenches(*third)) > 0.01


def test_turning_everything_hardly_matters():
    """The cone's eight edges are laid by the axes, so a turned grasp differs by at most 1 − cos 22.5°."""
    arms = np.array([[0.03, 0.0, 0.01], [-0.03, 0.005, 0.0], [0.0, 0.03, -0.01], [0.01, -0.03, 0.0]])
    inward = -arms / np.linalg.norm(arms, axis=-1, keepdims=True)
    quality = hull_radius(contact_wrenches(arms, inward))
    for turn in Rotation.random(6, rng=0).as_matrix():
        assert hull_radius(contact_wrenches(arms @ turn.T, inward @ turn.T)) == pytest.approx(quality, rel=0.08)
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    turned = contact_wrenches(arms @ quarter.T, inward @ quarter.T)
    assert hull_radius(turned) == pytest.approx(quality, rel=1e-6)


def test_each_link_touches_with_its_deepest_point_within_reach():
    grid = np.linspace(-0.05, 0.05, 51)
    points = np.stack(np.meshgrid(grid, grid, [0.0]), -1).reshape(-1, 3)
    normals = np.tile([0.0, 0.0, 1.0], (len(points), 1))
    skin = np.array([
        [0.010, 0.0, 0.004], [0.020, 0.0, -0.002], [0.030, 0.0, 0.001],  # link 0: the second is inside
        [0.000, 0.02, 0.009], [0.000, 0.03, 0.006],  # link 1
        [0.000, 0.04, 0.011],  # link 2: out of reach
    ])  # fmt: skip
    touched = link_contacts(skin, np.array([0, 0, 0, 1, 1, 2]), KDTree(points), normals)
    assert points[touched] == pytest.approx(np.array([[0.020, 0.0, 0.0], [0.0, 0.03, 0.0]]), abs=1e-9)


def test_held_grasps_have_quality_and_a_far_hand_none():
    for family in ("can", "bottle"):
        grasp = held_grasps()[family]
        points, normals, _ = grasp.target.sample_surface(4096)
        far = HandPose(grasp.pose.joints, grasp.pose.rotation, grasp.pose.translation + 1.0)
        quality = q1(HAND, HandPose.joined([grasp.pose, far]), points, normals)
        assert 0.005 < quality[0] < 0.6 and quality[1] == 0.0
        shift = np.array([0.3, -0.2, 0.1])
        moved = HandPose(grasp.pose.joints, grasp.pose.rotation, grasp.pose.translation + torch.tensor(shift).float())
        assert q1(HAND, moved, points + shift, normals)[0] == pytest.approx(quality[0], rel=1e-3)


def test_deep_grasps_are_not_valid():
    assert valid_q1(np.array([0.1, 0.2, 0.3]), np.array([0.0, 4.99, 5.0])).tolist() == [0.1, 0.2, 0.0]
