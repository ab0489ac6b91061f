"""A simulated joint_trajectory_controller: what it refuses, and where its joints go."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from maskdex_core.physics.trajectory_controller import PointTrajectory, TrajectoryController, TrajectoryRefused

NAMES = ("joint1", "joint2")
GOOD = PointTrajectory(NAMES, [1.0, 2.0], [[0.5, 0.0], [1.0, 0.5]], [[0.5, 0.5], [0.0, 0.0]], [[0.0, 0.0]] * 2)


def controller() -> TrajectoryController:
    return TrajectoryController(NAMES, np.zeros(2))


def test_a_good_trajectory_is_run_through_its_points_and_held() -> None:
    arm = controller()
    arm.accept(GOOD, now=10.0)
    for time, position, velocity in (
        (11.0, [0.5, 0.0], [0.5, 0.5]),
        (12.0, [1.0, 0.5], [0, 0]),
        (99.0, [1, 0.5], [0, 0]),
    ):
        found = arm.sample(time)
        assert found[0] == pytest.approx(position)
        assert found[1] == pytest.approx(velocity)
    assert arm.sample(10.0)[0] == pytest.approx([0.0, 0.0])
    assert arm.end == 12.0


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_velocity_is_the_derivative_of_position(levels: int) -> None:
    arm = controller()
    empty = {"accelerations": ()} if levels == 2 else {"velocities": (), "accelerations": ()} if levels == 1 else {}
    arm.accept(replace(GOOD, **empty), now=0.0)
    for time in (0.3, 0.9, 1.4, 1.9):
        ahead, behind = arm.sample(time + 1e-5)[0], arm.sample(time - 1e-5)[0]
        assert (ahead - behind) / 2e-5 == pytest.approx(arm.sample(time)[1], abs=1e-4)


def test_joints_may_come_in_any_order() -> None:
    arm = controller()
    arm.accept(PointTrajectory(NAMES[::-1], [1.0], [[0.2, 0.7]]), now=0.0)
    assert arm.sample(5.0)[0] == pytest.approx([0.7, 0.2])


def test_a_new_trajectory_starts_where_the_old_one_is() -> None:
    arm = controller()
    arm.accept(GOOD, now=0.0)
    here = arm.sample(1.5)
    arm.accept(PointTrajectory(NAMES, [1.0], [[0.0, 0.0]], [[0.0, 0.0]]), now=1.5)
    assert arm.sample(1.5)[0] == pytest.approx(here[0])
    assert arm.sample(1.5)[1] == pytest.approx(here[1])
    assert arm.sample(2.5)[0] == pytest.approx([0.0, 0.0])


REFUSED = {
    "names no joint": {"joint_names": ()},
    "has joints joint1, joint3": {"joint_names": ("joint1", "joint3")},
    "has joints joint1; expected": {"joint_names": ("joint1",)},
    "has no points": {"times": []},
    "names efforts": {"has_effort": True},
    "times do not increase: point 1": {"times": [1.0, 1.0]},
    "joint2 still moves at the last point": {"velocities": [[0.0, 0.0], [0.0, 0.1]]},
    "ends in the past": {"start": -5.0},
    "positions are not 2 points of 2 joints": {"positions": [[0.5, 0.0], [1.0]]},
    "velocities are not 2 points of 2 joints": {"velocities": [[0.0, 0.0]]},
    "positions hold a number that is not finite": {"positions": [[0.5, 0.0], [np.nan, 0.5]]},
    "times hold a number that is not finite": {"times": [1.0, np.inf]},
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_a_controller_refuses_changes_nothing(reason: str) -> None:
    arm = controller()
    with pytest.raises(TrajectoryRefused, match=reason):
        arm.accept(replace(GOOD, **REFUSED[reason]), now=0.0)
    assert arm.sample(1.0)[0] == pytest.approx([0.0, 0.0])
