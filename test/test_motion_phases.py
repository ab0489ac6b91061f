"""Whole plans: the four phases, their geometry, detours, and what is refused."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from motion_scene import HAND_NAMES, HAND_UPPER, hand_limits, home_state, object_points, top_down, world

from maskdex_core.errors import PlanRejected, RobotError
from maskdex_core.motion.arm import Arm
from maskdex_core.motion.phases import plan_motion
from maskdex_core.motion.types import MotionTargets, RobotState, RobotTrajectory
from maskdex_core.motion.verdict import check_trajectory

CENTRE = np.array([0.45, -0.1])


@pytest.fixture(scope="module")
def arm() -> Arm:
    return Arm.load("xarm7")


@pytest.fixture(scope="module")
def plan(arm: Arm) -> RobotTrajectory:
    return plan_motion(arm, hand_limits(), home_state(arm), top_down(CENTRE), world(CENTRE))


def at(plan: RobotTrajectory, time: float) -> int:
    return int(np.argmin(np.abs(plan.arm.times - time)))


def test_phases_follow_each_other_to_the_end(plan: RobotTrajectory) -> None:
    assert list(plan.phases) == ["transit", "approach", "close", "lift"]
    edges = [edge for span in plan.phases.values() for edge in span]
    assert edges[0] == 0.0 and edges[-1] == pytest.approx(plan.arm.duration)
    assert edges[1:-1:2] == pytest.approx(edges[2::2])


def test_arm_and_hand_share_a_time_axis_that_starts_after_zero(plan: RobotTrajectory) -> None:
    np.testing.assert_array_equal(plan.arm.times, plan.hand.times)
    np.testing.assert_allclose(plan.arm.times, 0.02 * np.arange(1, len(plan.arm.times) + 1))
    assert not plan.arm.velocities[-1].any() and not plan.hand.velocities[-1].any()


def test_the_tip_passes_its_targets_at_the_ends_of_the_phases(arm: Arm, plan: RobotTrajectory) -> None:
    targets = top_down(CENTRE)
    for phase, pose in (
        ("transit", targets.base_from_eef_approach),
        ("approach", targets.base_from_eef_grasp),
        ("close", targets.base_from_eef_grasp),
        ("lift", targets.base_from_eef_lift),
    ):
        index = at(plan, plan.phases[phase][1])
        np.testing.assert_allclose(arm.forward(plan.arm.positions[index][None])[0], pose, atol=1e-4)
        assert np.abs(plan.arm.velocities[index]).max() == 0.0


@pytest.mark.parametrize("phase", ["approach", "lift"])
def test_approach_and_lift_are_straight(arm: Arm, plan: RobotTrajectory, phase: str) -> None:
    begin, end = (at(plan, time) for time in plan.phases[phase])
    tip = arm.forward(plan.arm.positions[begin : end + 1])
    assert np.linalg.norm(tip[:, :2, 3] - CENTRE, axis=1).max() < 1e-4
    rise = np.diff(tip[:, 2, 3])
    assert (rise < 1e-9).all() if phase == "approach" else (rise > -1e-9).all()


def test_the_hand_closes_while_the_arm_stands_and_holds_while_it_lifts(plan: RobotTrajectory) -> None:
    targets = top_down(CENTRE)
    opened, closed, last = (at(plan, plan.phases[name][1]) for name in ("approach", "close", "lift"))
    np.testing.assert_allclose(plan.hand.positions[opened], targets.hand_pregrasp, atol=1e-9)
    np.testing.assert_allclose(plan.hand.positions[closed], targets.hand_squeeze, atol=1e-9)
    assert np.ptp(plan.arm.positions[opened : closed + 1], axis=0).max() < 1e-9
    assert np.ptp(plan.hand.positions[closed : last + 1], axis=0).max() < 1e-9
    grasp = np.abs(plan.hand.positions[opened:closed] - targets.hand_grasp).max(axis=1)
    assert grasp.min() < 1e-6  # the hand stops at the grasp before it squeezes


def test_hand_and_arm_move_together_in_transit(arm: Arm, plan: RobotTrajectory) -> None:
    end = at(plan, plan.phases["transit"][1])
    middle = end // 2
    targets = top_down(CENTRE)
    hand_share = plan.hand.positions[middle, 1] / targets.hand_pregrasp[1]
    arm_share = (plan.arm.positions[middle] - arm.home) / (plan.arm.positions[end] - arm.home)
    assert 0.2 < hand_share < 0.8
    np.testing.assert_allclose(arm_share, hand_share, atol=1e-6)


def test_speed_scale_scales_velocities(arm: Arm) -> None:
    slow, fast = (
        plan_motion(arm, hand_limits(), home_state(arm), top_down(CENTRE), world(CENTRE), speed_scale=s)
        for s in (0.2, 0.8)
    )
    assert slow.duration > 1.5 * fast.duration
    assert np.abs(slow.arm.velocities).max() <= 0.2 * 3.14
    assert np.abs(slow.hand.velocities).max() <= 0.2 * 1.5


def test_a_plan_can_be_written_as_json(plan: RobotTrajectory) -> None:
    back = json.loads(json.dumps(plan.to_dict()))
    assert set(back) == {"arm", "hand", "phases"}
    assert set(back["arm"]) == {"joint_names", "times", "positions", "velocities", "accelerations"}
    np.testing.assert_array_equal(back["arm"]["positions"], plan.arm.positions)


def test_an_obstacle_in_the_straight_way_is_gone_around(arm: Arm) -> None:
    """The start is beside the object with the hand low, so the straight way to above it goes through it."""
    start_targets, goal = top_down(np.array([0.45, 0.16])), np.array([0.45, -0.06])
    low = plan_motion(arm, hand_limits(), home_state(arm), start_targets, world(None))
    index = at(low, low.phases["approach"][1])
    start = RobotState(arm.joint_names, low.arm.positions[index], HAND_NAMES, low.hand.positions[index])
    wall = object_points(np.array([0.45, 0.03]))
    scene = dataclasses.replace(world(goal), object_points=np.concatenate([object_points(goal), wall * [1, 1, 2.5]]))
    found = plan_motion(arm, hand_limits(), start, top_down(goal), scene)
    assert check_trajectory(found, arm, hand_limits(), start, scene).ok
    stops = np.abs(found.arm.velocities[: at(found, found.phases["transit"][1])]).max(axis=1) == 0.0
    assert stops.sum() >= 1  # at least one via configuration, passed at rest


def test_a_start_at_the_approach_pose_needs_no_transit(arm: Arm, plan: RobotTrajectory) -> None:
    index = at(plan, plan.phases["transit"][1])
    start = RobotState(arm.joint_names, plan.arm.positions[index], HAND_NAMES, plan.hand.positions[index])
    again = plan_motion(arm, hand_limits(), start, top_down(CENTRE), world(CENTRE))
    assert again.phases["transit"][1] < 0.3


def test_joints_named_in_another_order_are_reordered(arm: Arm, plan: RobotTrajectory) -> None:
    start = home_state(arm)
    mixed = RobotState(
        start.arm_joint_names[::-1], start.arm_positions[::-1], HAND_NAMES[::-1], start.hand_positions[::-1]
    )
    again = plan_motion(arm, hand_limits(), mixed, top_down(CENTRE), world(CENTRE))
    np.testing.assert_array_equal(again.arm.positions, plan.arm.positions)


def _shifted(targets: MotionTargets, shift: list[float]) -> MotionTargets:
    moved = {}
    for key in ("base_from_eef_approach", "base_from_eef_grasp", "base_from_eef_lift"):
        moved[key] = np.array(getattr(targets, key))
        moved[key][:3, 3] += shift
    return dataclasses.replace(targets, **moved)


@pytest.mark.parametrize(
    ("shift", "sentence"),
    [
        ([1.0, 0.0, 0.0], r"workspace: link_eef is at x = 1\.450 m, outside \[-0\.15, 0\.75\]"),
        ([0.25, -0.45, 0.5], "grasp pose at .* is out of reach"),
        ([0.0, 0.0, -0.1], "table collision: hand and table"),
    ],
)
def test_targets_without_a_safe_motion_are_rejected_with_the_reason(
    arm: Arm, shift: list[float], sentence: str
) -> None:
    with pytest.raises(PlanRejected, match=sentence) as caught:
        plan_motion(arm, hand_limits(), home_state(arm), _shifted(top_down(CENTRE), shift), world(None))
    assert caught.value.reasons and len(set(caught.value.reasons)) == len(caught.value.reasons)


def test_a_start_in_collision_is_rejected_as_such(arm: Arm) -> None:
    low = RobotState(arm.joint_names, np.zeros(7), HAND_NAMES, np.zeros(7))
    with pytest.raises(PlanRejected, match="at the start: table collision: hand and table"):
        plan_motion(arm, hand_limits(), low, top_down(CENTRE), world(None))


def test_an_object_in_the_arms_base_is_rejected_as_such(arm: Arm) -> None:
    inside = np.array([0.05, 0.0, 0.1])
    with pytest.raises(PlanRejected, match="at the start: object collision: link_base and object are"):
        plan_motion(arm, hand_limits(), home_state(arm), top_down(inside), world(inside))


@pytest.mark.parametrize(
    ("joint", "value", "sentence"),
    [
        ("joint4", -0.5, r"joint 'joint4' is at -0.5000 rad, outside \[-0.1920, 3.9270\]"),
        ("joint2", np.nan, r"joint 'joint2' is at nan; expected a number in \[-2.0590, 2.0944\]"),
        ("joint7", 100.0, r"joint 'joint7' is at 100.0000 rad, outside \[-6.2832, 6.2832\]"),
    ],
)
def test_a_bad_start_names_joint_value_and_range(arm: Arm, joint: str, value: float, sentence: str) -> None:
    positions = np.array(arm.home)
    positions[arm.joint_names.index(joint)] = value
    start = RobotState(arm.joint_names, positions, HAND_NAMES, np.zeros(7))
    with pytest.raises(RobotError, match=sentence):
        plan_motion(arm, hand_limits(), start, top_down(CENTRE), world(None))


def test_missing_and_unknown_joints_are_named(arm: Arm) -> None:
    short = RobotState(arm.joint_names[:-1], arm.home[:-1], HAND_NAMES, np.zeros(7))
    with pytest.raises(RobotError, match="arm joint 'joint7' is missing"):
        plan_motion(arm, hand_limits(), short, top_down(CENTRE), world(None))
    odd = RobotState((*arm.joint_names, "joint8"), np.append(arm.home, 0.0), HAND_NAMES, np.zeros(7))
    with pytest.raises(RobotError, match="arm joint 'joint8' is unknown; known: joint1"):
        plan_motion(arm, hand_limits(), odd, top_down(CENTRE), world(None))


def test_an_encoder_a_little_beyond_its_limit_still_plans(arm: Arm) -> None:
    hand = np.array([0.0, 0.0, -0.004, 0.0, 0.0, 0.0, 0.0])
    start = RobotState(arm.joint_names, arm.home, HAND_NAMES, hand)
    found = plan_motion(arm, hand_limits(), start, top_down(CENTRE), world(CENTRE))
    assert found.hand.positions[:, 2].min() >= 0.0


def test_hand_targets_outside_their_limits_are_refused(arm: Arm) -> None:
    targets = dataclasses.replace(top_down(CENTRE), hand_squeeze=HAND_UPPER + 0.1)
    with pytest.raises(RobotError, match=r"hand_squeeze of thumb_joint1 is 0\.5366 rad"):
        plan_motion(arm, hand_limits(), home_state(arm), targets, world(None))
    short = dataclasses.replace(top_down(CENTRE), hand_grasp=np.zeros(5))
    with pytest.raises(RobotError, match="hand_grasp has 5 values; expected 7"):
        plan_motion(arm, hand_limits(), home_state(arm), short, world(None))


def test_types_refuse_wrong_shapes_by_name() -> None:
    with pytest.raises(RobotError, match=r"arm_positions has shape \(6,\); expected \(7\)"):
        RobotState(tuple("abcdefg"), np.zeros(6), (), np.zeros(0))
    with pytest.raises(RobotError, match="base_from_eef_grasp is not a rigid transform"):
        dataclasses.replace(top_down(CENTRE), base_from_eef_grasp=np.zeros((4, 4)))
