"""A stop at any instant: on the planned path, within the limits, at rest at its end."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_scene import HAND_NAMES, hand_limits, home_state, top_down, world

from maskdex_core.errors import RobotError
from maskdex_core.motion.arm import Arm
from maskdex_core.motion.motion_rules import motion_reasons, parts
from maskdex_core.motion.phases import plan_motion
from maskdex_core.motion.stop import stop_trajectory
from maskdex_core.motion.types import JointLimits, JointTrajectory, RobotTrajectory

CENTRE = np.array([0.45, 0.1])
SPEEDS = (0.1, 0.3, 1.0)


@cache
def arm() -> Arm:
    return Arm.load("xarm7")


@cache
def plan(speed: float) -> RobotTrajectory:
    return plan_motion(arm(), hand_limits(), home_state(arm()), top_down(CENTRE), world(CENTRE), speed)


def stop(speed: float, at: float) -> RobotTrajectory:
    return stop_trajectory(plan(speed), at, arm().limits, hand_limits())


def both(trajectory: RobotTrajectory, key: str) -> np.ndarray:
    return np.concatenate([getattr(trajectory.arm, key), getattr(trajectory.hand, key)], axis=1)


def state_at(speed: float, at: float) -> list[np.ndarray]:
    """Return position and velocity of arm and hand at an instant by cubic Hermite of the plan's points."""
    from scipy.interpolate import CubicHermiteSpline

    start = np.concatenate([home_state(arm()).arm_positions, np.zeros(7)])
    times = np.concatenate([[0.0], plan(speed).arm.times])
    q = np.concatenate([start[None], both(plan(speed), "positions")])
    v = np.concatenate([np.zeros((1, 14)), both(plan(speed), "velocities")])
    spline = CubicHermiteSpline(times, q, v)
    return [spline(at), spline.derivative()(at)]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(speed=st.sampled_from(SPEEDS), share=st.floats(0.0, 0.999))
def test_a_stop_at_any_time_keeps_the_limits_and_ends_at_rest(speed: float, share: float) -> None:
    at = share * plan(speed).duration
    found = stop(speed, at)
    for part in parts(found, arm(), hand_limits()):
        assert motion_reasons(part, 200.0, from_rest=False) == []
    limits = arm().limits.joined(hand_limits())
    _independent(found, limits, state_at(speed, at))
    # never later than the plan itself, and for long plans much earlier
    assert at + found.duration <= plan(speed).duration + 1e-3
    assert found.duration < 0.8


def _independent(found: RobotTrajectory, limits: JointLimits, state: list[np.ndarray]) -> None:
    """Finite differences of positions alone: what an encoder would see."""
    q, v, a = (both(found, key) for key in ("positions", "velocities", "accelerations"))
    assert found.arm.times[0] > 0.0 and (np.diff(found.arm.times) > 0.0).all()
    assert not v[-1].any() and np.abs(a[-1]).max() < 1e-9
    times = np.concatenate([[0.0], found.arm.times])
    whole = np.concatenate([state[0][None], q])
    steps = np.diff(times)[:, None]
    speed = np.diff(whole, axis=0) / steps
    # a mean speed, and a change of mean speeds, never exceed the bound of the derivative they are a mean of
    assert (np.abs(speed) <= limits.velocity * 1.001 + 1e-4).all()
    # from the 2nd step on: the first may be as short as a millisecond, where rounding counts
    bend = np.diff(speed[1:], axis=0) / ((steps[1:-1] + steps[2:]) / 2.0)
    assert (np.abs(bend) <= limits.acceleration * 1.01 + 1e-3).all()
    assert (np.abs(v[0] - state[1]) <= limits.acceleration * found.arm.times[0] + 1e-4).all()


@pytest.mark.parametrize("speed", SPEEDS)
def test_a_stop_stays_on_the_planned_path(speed: float) -> None:
    """So that what was checked for collisions holds for the stop."""
    dense = np.linspace(0.0, plan(speed).duration, 6000)
    path = np.array(state_at(speed, dense)[0])
    for at in np.linspace(0.05, 0.95, 7) * plan(speed).duration:
        near = path[np.abs(dense - at) < 1.0]
        for point in both(stop(speed, float(at)), "positions"):
            assert np.abs(near - point).max(axis=1).min() < 3e-3


def test_a_slow_plan_stops_at_once() -> None:
    middle = float(np.mean(plan(0.3).phases["transit"]))
    left = plan(0.3).phases["transit"][1] - middle
    assert stop(0.3, middle).duration < min(0.35, 0.7 * left)


def test_a_stop_names_the_phase_that_ran() -> None:
    for name, span in plan(0.3).phases.items():
        found = stop(0.3, float(np.mean(span)))
        assert dict(found.phases) == {name: (0.0, found.duration)}


@pytest.mark.parametrize("late", [0.0, 0.5, 100.0])
def test_after_the_end_the_robot_stays(late: float) -> None:
    found = stop(0.3, plan(0.3).duration + late)
    assert len(found.arm.times) == 1 and found.arm.times[0] > 0.0
    np.testing.assert_array_equal(found.arm.positions[0], plan(0.3).arm.positions[-1])
    assert not both(found, "velocities").any()


def test_before_the_first_point_hardly_anything_moves() -> None:
    found = stop(0.3, 0.0)
    assert np.abs(found.arm.positions - home_state(arm()).arm_positions).max() < 0.01


def test_a_plan_that_never_rests_is_followed_to_its_end() -> None:
    """One long acceleration at the limit and back leaves no room to stop earlier than the plan does."""
    t = np.arange(1, 21) * 0.02
    u = t / t[-1]
    top = 7.5 / t[-1] ** 2  # of u^3 (10 - 15 u + 6 u^2), whose greatest second derivative is 5.77
    q = (top / 7.5 * t[-1] ** 2 * (10 * u**3 - 15 * u**4 + 6 * u**5))[:, None]
    v = ((30 * u**2 - 60 * u**3 + 30 * u**4) / t[-1])[:, None]
    a = ((60 * u - 180 * u**2 + 120 * u**3) / t[-1] ** 2)[:, None]
    motion = JointTrajectory(("one",), t, q, v, a)
    other = JointTrajectory(("two",), t, 0 * q, 0 * v, 0 * a)
    tight = JointLimits(("one",), [-9], [9], [np.abs(v).max()], [np.abs(a).max()], [60 / t[-1] ** 3])
    loose = JointLimits(("two",), [-9], [9], [9], [9], [900])
    found = stop_trajectory(RobotTrajectory(motion, other), 0.1, tight, loose)
    np.testing.assert_allclose(found.arm.positions[-1], q[-1])
    np.testing.assert_allclose(found.arm.times[-1], t[-1] - 0.1)


@pytest.mark.parametrize("at", [-0.1, np.nan, np.inf])
def test_an_instant_that_is_none_is_refused(at: float) -> None:
    with pytest.raises(RobotError, match="expected a number from 0 on"):
        stop(0.3, at)


def test_limits_of_other_joints_are_refused() -> None:
    mixed = JointLimits(HAND_NAMES[::-1], *(np.ones(7) * k for k in (-1, 1, 1, 1, 1)))
    with pytest.raises(RobotError, match="stop: hand trajectory has joints"):
        stop_trajectory(plan(0.3), 0.1, arm().limits, mixed)
