"""The simulated cell: what became of the object, read off trajectories that name no phases."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="no simulator: pip install 'maskdex_ros[sim]'")

from maskdex_core.motion.hand import hand_limits
from maskdex_core.motion.time_scaling import time_point_to_point
from maskdex_core.motion.types import JointTrajectory
from maskdex_core.physics.lift_trial import PUSHED_AWAY, SLIP, point_trajectory
from maskdex_core.physics.simulation import CellConfig, SimulatedCell

DT, LATE = 0.02, 0.05  # s; the hand's message comes later than the arm's
PUSH = 0.05  # m


def give(cell: SimulatedCell) -> tuple[float, float]:
    """Have the arm go somewhere and back over a closing hand; return when the hand closes, from when to when."""
    arm, hand = cell.world.arm, cell.world.hand
    limits = arm.limits.joined(hand_limits(hand))
    home = cell.world.positions
    aside = home.copy()
    aside[: len(arm.joint_names)] += 0.2
    aside[len(arm.joint_names) :] += 0.1  # the pre-grasp, on the way
    closed = aside.copy()
    closed[len(arm.joint_names) :] += 0.4
    back = closed.copy()
    back[: len(arm.joint_names)] -= 0.2
    legs = [time_point_to_point(a, b, limits, 0.4, DT) for a, b in ((home, aside), (aside, closed), (closed, back))]
    rows = [
        np.concatenate([getattr(leg, key)[1:] for leg in legs]) for key in ("positions", "velocities", "accelerations")
    ]
    times = DT * np.arange(1, len(rows[0]) + 1)
    split, began = len(arm.joint_names), cell.world.time
    cell.accept("arm", point_trajectory(JointTrajectory(arm.joint_names, times, *(row[:, :split] for row in rows))))
    cell.advance(LATE)
    cell.accept("hand", point_trajectory(JointTrajectory(hand.joint_names, times, *(row[:, split:] for row in rows))))
    ends = began + DT * np.cumsum([len(leg.times) - 1 for leg in legs])
    return float(ends[0]), float(ends[1])


def push(cell: SimulatedCell) -> None:
    """Shift the object, as if something had."""
    address = int(cell.world.model.joint("object").qposadr[0])
    cell.world.data.qpos[address] += PUSH


@pytest.mark.parametrize(("when", "outcome"), [("before closing", PUSHED_AWAY), ("closing", SLIP), ("never", SLIP)])
def test_an_object_pushed_before_the_hand_closes_is_told_from_one_that_slips(when: str, outcome: str) -> None:
    cell = SimulatedCell(CellConfig(object="can_003"))
    began, ended = give(cell)
    cell.advance((began - LATE if when == "before closing" else (began + ended) / 2) - cell.world.time)
    if when != "never":
        push(cell)
    while not cell.done:
        cell.advance(0.5)
    result = cell.result()
    assert result.outcome == outcome
    assert (result.pushed > 0.9 * PUSH) == (outcome == PUSHED_AWAY)
    assert cell.report()["outcome"] == outcome
