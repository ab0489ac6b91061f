"""Inverse kinematics: accuracy, limits, nearness, straight lines."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from maskdex_core.errors import RobotError
from maskdex_core.motion import ik
from maskdex_core.motion.arm import Arm

DOWN = np.diag([1.0, -1.0, -1.0, 1.0])


@pytest.fixture(scope="module")
def arm() -> Arm:
    return Arm.load("xarm7")


def down_at(x: float, y: float, z: float) -> np.ndarray:
    pose = DOWN.copy()
    pose[:3, 3] = [x, y, z]
    return pose


def rotation_between(first: np.ndarray, second: np.ndarray) -> float:
    cosine = (np.trace(first[:3, :3].T @ second[:3, :3]) - 1.0) / 2.0
    return float(np.arccos(np.clip(cosine, -1.0, 1.0)))


def least_singular_value(arm: Arm, positions: np.ndarray) -> float:
    return float(np.linalg.svd(arm.tip_and_jacobian(positions[None])[1][0], compute_uv=False)[-1])


def test_random_reachable_poses_are_reached_with_margins(arm: Arm) -> None:
    """Poses of 150 random configurations; where the configuration itself keeps the margins, an answer is owed."""
    rng = np.random.default_rng(5)
    owed, missed, worst_m, worst_rad = 0, 0, 0.0, 0.0
    for q in rng.uniform(arm.limits.lower + 0.05, arm.limits.upper - 0.05, (150, 7)):
        agile = least_singular_value(arm, q) >= 0.03
        pose = arm.forward(q[None])[0]
        answer = ik.solve(arm, pose, arm.home)
        owed += agile
        if answer is None:
            missed += agile
            continue
        assert (answer > arm.limits.lower + 4e-3).all() and (answer < arm.limits.upper - 4e-3).all()
        assert least_singular_value(arm, answer) >= 0.02
        found = arm.forward(answer[None])[0]
        worst_m = max(worst_m, float(np.linalg.norm(found[:3, 3] - pose[:3, 3])))
        worst_rad = max(worst_rad, rotation_between(found, pose))
    assert owed > 90 and missed <= 0.01 * owed
    assert worst_m <= 1e-3
    assert worst_rad <= np.radians(0.5)


def test_singular_answers_are_left_out_however_near(arm: Arm) -> None:
    rng = np.random.default_rng(8)
    drawn = rng.uniform(arm.limits.lower + 0.1, arm.limits.upper - 0.1, (400, 7))
    singular = [q for q in drawn if least_singular_value(arm, q) < 0.01][:8]
    anyhow = dataclasses.replace(ik.DEFAULT_IK, singular=0.0)
    for q in singular:
        pose = arm.forward(q[None])[0]
        np.testing.assert_allclose(ik.solve(arm, pose, q, anyhow), q, atol=1e-4)
        assert all(least_singular_value(arm, other) >= 0.02 for other in ik.solve_all(arm, pose, q))


def test_answers_are_distinct_and_nearest_first(arm: Arm) -> None:
    answers = ik.solve_all(arm, down_at(0.45, 0.1, 0.3), arm.home)
    assert len(answers) >= 3
    distance = np.linalg.norm(answers - arm.home, axis=1)
    assert (np.diff(distance) >= 0.0).all()
    gaps = np.abs(answers[:, None] - answers[None]).max(axis=2) + 9.0 * np.eye(len(answers))
    assert gaps.min() > 0.15


def test_a_pose_already_held_needs_no_motion(arm: Arm) -> None:
    pose = arm.forward(arm.home[None])[0]
    np.testing.assert_allclose(ik.solve(arm, pose, arm.home), arm.home, atol=1e-5)


def test_turning_joints_do_not_wind_up(arm: Arm) -> None:
    wound = arm.home + np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 5.5])
    answer = ik.solve(arm, arm.forward(wound[None])[0], wound)
    assert np.abs(answer - wound).max() < 1e-4


def test_the_same_seed_gives_the_same_answers(arm: Arm) -> None:
    pose = down_at(0.4, -0.2, 0.25)
    first, again = (ik.solve_all(arm, pose, arm.home, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("x", [1.0, 5.0])
def test_a_pose_out_of_reach_has_no_answer(arm: Arm, x: float) -> None:
    assert ik.solve(arm, down_at(x, 0.0, 0.3), arm.home) is None
    assert ik.solve_all(arm, down_at(x, 0.0, 0.3), arm.home).shape == (0, 7)


def test_a_pose_that_is_not_finite_is_refused(arm: Arm) -> None:
    with pytest.raises(RobotError, match="finite"):
        ik.solve(arm, down_at(np.nan, 0.0, 0.3), arm.home)
    with pytest.raises(RobotError, match="reference of shape"):
        ik.solve(arm, down_at(0.4, 0.0, 0.3), arm.home[:6])


def test_a_line_is_straight_and_does_not_jump(arm: Arm) -> None:
    start, end = down_at(0.45, 0.1, 0.35), down_at(0.5, 0.05, 0.25)
    line = ik.straight_line(start, end)
    starts = ik.solve_all(arm, start, arm.home)[:4]
    waypoints, ok = ik.solve_along(arm, starts, line)
    assert ok.any()
    for path in waypoints[ok]:
        tip = arm.forward(path)
        np.testing.assert_allclose(tip[:, :3, 3], line[:, :3, 3], atol=1e-5)
        np.testing.assert_allclose(tip[:, :3, :3], line[:, :3, :3], atol=1e-5)
        assert np.abs(np.diff(path, axis=0)).max() < 0.15


def test_two_lines_are_followed_at_once_as_they_are_alone(arm: Arm) -> None:
    start = down_at(0.45, 0.1, 0.3)
    lines = [ik.straight_line(start, end, least=12) for end in (down_at(0.5, 0.1, 0.25), down_at(0.4, 0.0, 0.35))]
    lines = np.stack([line[:12] for line in lines])
    begin = ik.solve_all(arm, start, arm.home)[:1]
    both, ok = ik.solve_along(arm, np.repeat(begin, 2, axis=0), lines)
    assert ok.all()
    for waypoints, line in zip(both, lines, strict=True):
        alone, _ = ik.solve_along(arm, begin, line)
        np.testing.assert_allclose(waypoints, alone[0], atol=1e-4)


def test_a_line_that_leaves_the_reach_is_reported(arm: Arm) -> None:
    start = down_at(0.5, 0.0, 0.3)
    starts = ik.solve_all(arm, start, arm.home)[:2]
    _, ok = ik.solve_along(arm, starts, ik.straight_line(start, down_at(1.2, 0.0, 0.3)))
    assert not ok.any()


def test_a_line_turns_about_one_axis_at_even_rate() -> None:
    start, end = down_at(0.4, 0.0, 0.3), down_at(0.4, 0.0, 0.3)
    end[:3, :3] = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]) @ end[:3, :3]
    line = ik.straight_line(start, end)
    np.testing.assert_allclose(line[-1], end, atol=1e-12)
    angles = [rotation_between(line[0], pose) for pose in line]
    np.testing.assert_allclose(np.diff(angles), np.pi / 2 / (len(line) - 1), atol=1e-7)
