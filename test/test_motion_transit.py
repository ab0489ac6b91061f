"""Ways round what stands between start and goal: the search finds them, the verdict agrees."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from motion_scene import HAND_NAMES, hand_limits, home_state, top_down, world

from maskdex_core.errors import PlanRejected
from maskdex_core.motion.arm import Arm
from maskdex_core.motion.collision import World
from maskdex_core.motion.phases import plan_motion
from maskdex_core.motion.types import RobotState
from maskdex_core.motion.verdict import check_trajectory

START, GOAL = np.array([0.45, 0.25]), np.array([0.45, -0.25])


@pytest.fixture(scope="module")
def arm() -> Arm:
    return Arm.load("xarm7")


@pytest.fixture(scope="module")
def low(arm: Arm) -> RobotState:
    """The robot over one side of the table with the hand low."""
    plan = plan_motion(arm, hand_limits(), home_state(arm), top_down(START), world(None))
    row = round(plan.phases["transit"][1] / 0.02) - 1
    return RobotState(arm.joint_names, plan.arm.positions[row], HAND_NAMES, plan.hand.positions[row])


def screen(height: float) -> World:
    """A screen between the two sides of the table, from 0.3 m before the base outward and under the raised home."""
    x, z = np.meshgrid(np.arange(0.28, 0.75, 0.01), np.arange(0.0, height, 0.01))
    return dataclasses.replace(world(None), obstacle_points=np.stack([x.ravel(), 0.0 * x.ravel(), z.ravel()], axis=1))


def test_the_search_goes_round_a_screen(arm: Arm, low: RobotState) -> None:
    scene = screen(0.55)
    found = plan_motion(arm, hand_limits(), low, top_down(GOAL), scene)
    assert check_trajectory(found, arm, hand_limits(), low, scene).ok
    middle = found.arm.positions[: round(found.phases["transit"][1] / 0.02)]
    tip = arm.forward(middle)[:, :3, 3]
    crossing = tip[np.argmin(np.abs(tip[:, 1]))]
    assert crossing[2] > 0.6 or crossing[0] < 0.28  # over the screen or behind it, never through


def test_the_search_repeats_itself(arm: Arm, low: RobotState) -> None:
    first, again = (plan_motion(arm, hand_limits(), low, top_down(GOAL), screen(0.55)) for _ in range(2))
    np.testing.assert_array_equal(first.arm.positions, again.arm.positions)


def test_a_closed_cell_has_no_way_and_says_so(arm: Arm, low: RobotState) -> None:
    """A wall all round the goal, higher than the workspace."""
    angle, z = np.meshgrid(np.linspace(0.0, 2.0 * np.pi, 120), np.arange(0.0, 1.2, 0.02))
    ring = np.stack([GOAL[0] + 0.22 * np.cos(angle), GOAL[1] + 0.22 * np.sin(angle), z], axis=-1).reshape(-1, 3)
    scene = dataclasses.replace(world(None), obstacle_points=ring)
    with pytest.raises(PlanRejected, match=r"no collision-free way|obstacle collision"):
        plan_motion(arm, hand_limits(), low, top_down(GOAL), scene)
