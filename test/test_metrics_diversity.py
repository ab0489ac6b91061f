"""Diversity: entropies and duplicates of grasps whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from maskdex_core.metrics.diversity import duplicates, joint_entropy

LOW, HIGH = np.array([-1.0, 0.0, 0.0]), np.array([1.0, 1.6, 0.5])


def test_entropy_of_uniform_still_and_two_valued_joints():
    count = 100_000
    joints = np.column_stack([np.linspace(-1, 1, count), np.full(count, 0.7), np.where(np.arange(count) % 2, 0.1, 0.4)])
    entropy = joint_entropy(joints, LOW, HIGH)
    assert entropy == pytest.approx((np.log(100), 0.0, np.log(2)), abs=1e-3)
    assert (entropy >= 0).all()


def test_joints_beyond_their_limits_count_at_the_limit():
    joints = np.array([[5.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    assert joint_entropy(joints, LOW, HIGH)[0] == 0.0


def grasps(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Equal grasps on one object."""
    return np.zeros((count, 3)), np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3)), np.zeros(count, int)


@pytest.mark.parametrize(
    ("translation", "degrees", "joint", "expected"),
    [
        (0.0, 0.0, 0.0, True),
        (0.0049, 4.9, 0.099, True),
        (0.0051, 0.0, 0.0, False),
        (0.0, 5.1, 0.0, False),
        (0.0, 0.0, 0.101, False),
    ],
)
def test_duplicates_need_all_three_to_be_close(translation, degrees, joint, expected):
    joints, rotation, position, objects = grasps(2)
    position[1, 2] = translation
    rotation[1] = Rotation.from_rotvec([0, np.deg2rad(degrees), 0]).as_matrix()
    joints[1, 2] = joint
    assert duplicates(joints, rotation, position, objects).tolist() == [expected, expected]


def test_other_objects_do_not_count_and_lone_grasps_are_none():
    joints, rotation, position, objects = grasps(5)
    objects[:] = (0, 1, 2, 2, 3)
    assert duplicates(joints, rotation, position, objects).tolist() == [False, False, True, True, False]
    assert duplicates(*(array[:0] for array in grasps(1))).shape == (0,)
