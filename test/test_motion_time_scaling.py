"""Time scaling never exceeds a limit, in any joint, on what the controller interpolates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_scene import hand_limits

from maskdex_core.errors import RobotError
from maskdex_core.motion import ik
from maskdex_core.motion.arm import Arm
from maskdex_core.motion.interpolation import densify
from maskdex_core.motion.time_scaling import TimedPath, time_along_path, time_point_to_point
from maskdex_core.motion.types import JointLimits

DT = 0.02
ANGLES = st.lists(st.floats(-3.0, 3.0, allow_subnormal=False), min_size=3, max_size=3)
LIMITS = JointLimits(
    ("a", "b", "c"),
    np.full(3, -9.0),
    np.full(3, 9.0),
    np.array([3.14, 1.5, 0.7]),
    np.array([10.0, 4.0, 2.0]),
    np.array([100.0, 60.0, 15.0]),
)


def assert_within(path: TimedPath, limits: JointLimits, share: float) -> None:
    """Check the interpolated motion on more instants than the planner looks at."""
    dense = densify(path.times, path.positions, path.velocities, path.accelerations, samples=23)
    for values, limit in (
        (dense.velocities, limits.velocity),
        (dense.accelerations, limits.acceleration),
        (dense.jerks, limits.jerk),
    ):
        assert (np.abs(values) / limit).max() <= share * 1.001
    for rate in (path.velocities, path.accelerations):
        assert np.abs(rate[0]).max() == 0.0 and np.abs(rate[-1]).max() == 0.0
    np.testing.assert_allclose(np.diff(path.times), DT, rtol=1e-9)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(ANGLES, ANGLES, st.floats(0.05, 1.0))
def test_point_to_point_stays_within_limits(start: list[float], goal: list[float], speed: float) -> None:
    path = time_point_to_point(np.array(start), np.array(goal), LIMITS, speed, DT)
    assert_within(path, LIMITS, speed)
    np.testing.assert_array_equal(path.positions[-1], goal)
    np.testing.assert_allclose(path.positions[0], start, atol=1e-12)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.integers(2, 14), st.floats(0.05, 1.0))
def test_a_bent_path_stays_within_limits(seed: int, count: int, speed: float) -> None:
    rng = np.random.default_rng(seed)
    s = np.linspace(0.0, 1.0, count)[:, None]
    waypoints = rng.uniform(-1, 1, 3) + rng.uniform(0.1, 1, 3) * np.sin(s * rng.uniform(0.5, 2.5, 3))
    path = time_along_path(waypoints, LIMITS, speed, DT)
    assert_within(path, LIMITS, speed)
    np.testing.assert_array_equal(path.positions[-1], waypoints[-1])


def test_all_joints_keep_to_the_straight_way() -> None:
    start, goal = np.array([0.0, 1.0, -1.0]), np.array([1.0, 0.5, 2.0])
    path = time_point_to_point(start, goal, LIMITS, 1.0, DT)
    share = (path.positions - start) / (goal - start)
    np.testing.assert_allclose(share, share[:, :1].repeat(3, axis=1), atol=1e-9)
    assert (np.diff(share[:, 0]) > 0.0).all()


def test_it_is_as_fast_as_the_limits_allow_within_a_fifth() -> None:
    path = time_point_to_point(np.zeros(3), np.array([3.0, 0.0, 0.0]), LIMITS, 1.0, DT)
    # time-optimal: cruise at v, with jerk-limited ramps of v / a + a / j at both ends together
    v, a, j = 3.14, 10.0, 100.0
    best = 3.0 / v + v / a + a / j
    assert best <= path.duration <= 1.2 * best


@pytest.mark.parametrize("speed", [0.5, 0.25])
def test_less_speed_takes_longer(speed: float) -> None:
    full, less = (time_point_to_point(np.zeros(3), np.ones(3), LIMITS, s, DT) for s in (1.0, speed))
    assert less.duration > full.duration


def test_a_straight_line_in_space_stays_straight_when_timed() -> None:
    arm = Arm.load("xarm7")
    start = np.diag([1.0, -1.0, -1.0, 1.0])
    start[:3, 3] = [0.45, 0.1, 0.35]
    end = start.copy()
    end[2, 3] = 0.23
    first = ik.solve(arm, start, arm.home)
    waypoints, ok = ik.solve_along(arm, first[None], ik.straight_line(start, end))
    assert ok[0]
    path = time_along_path(waypoints[0], arm.limits, 1.0, DT)
    assert_within(path, arm.limits, 1.0)
    dense = densify(path.times, path.positions, path.velocities, path.accelerations)
    tip = arm.forward(dense.positions.reshape(-1, 7))
    assert np.linalg.norm(tip[:, :2, 3] - [0.45, 0.1], axis=1).max() < 1e-4
    assert np.abs(tip[:, 2, 2] + 1.0).max() < 1e-6


def test_no_way_to_go_is_one_step_of_rest() -> None:
    path = time_point_to_point(np.ones(3), np.ones(3), LIMITS, 1.0, DT)
    np.testing.assert_array_equal(path.positions, np.ones((2, 3)))
    assert np.abs(path.velocities).max() == 0.0


@pytest.mark.parametrize("speed", [0.0, -0.1, 1.01, float("nan")])
def test_a_speed_scale_out_of_range_is_refused(speed: float) -> None:
    with pytest.raises(RobotError, match="speed scale is"):
        time_point_to_point(np.zeros(3), np.ones(3), LIMITS, speed, DT)


def test_positions_that_are_not_finite_are_refused_by_joint_name() -> None:
    with pytest.raises(RobotError, match="path of b is not finite"):
        time_point_to_point(np.array([0.0, np.nan, 0.0]), np.ones(3), LIMITS, 1.0, DT)


def test_paths_of_another_width_are_refused() -> None:
    with pytest.raises(RobotError, match=r"expected \(2 or more, 7\)"):
        time_along_path(np.zeros((5, 3)), hand_limits())
