"""1,000 random plans, checked by code that shares nothing with the planner's.

240 are whole plans (transit, approach, close, lift); 360 are straight lines in space and 400 are joint
motions, timed by the functions that every phase is timed by. Limits are read here from the YAML and URDF
files, derivatives are finite differences of positions, forward kinematics walks the URDF joint by joint.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from motion_scene import hand_limits, home_state, object_points, top_down, world

from maskdex_core.errors import PlanRejected
from maskdex_core.motion import ik
from maskdex_core.motion.arm import Arm
from maskdex_core.motion.phases import plan_motion
from maskdex_core.motion.time_scaling import time_along_path, time_point_to_point
from maskdex_core.motion.types import RobotState

ROOT = Path(__file__).resolve().parents[1]
DT = 0.02
BATCHES, FULL, LINES, JOINT_MOTIONS = 4, 60, 90, 100


@dataclass
class Bounds:
    """Limits as the files state them: (J,) each, arm joints first."""

    names: list[str]
    lower: np.ndarray
    upper: np.ndarray
    rates: list[np.ndarray]


@pytest.fixture(scope="module")
def bounds() -> Bounds:
    arm = yaml.safe_load((ROOT / "config/arms/xarm7.yaml").read_text())["joints"]
    hand = yaml.safe_load((ROOT / "config/hands/freedom_v2.yaml").read_text())
    urdf = ElementTree.parse(ROOT / "urdf/freedom_v2.urdf").getroot()
    driven = [j for j in urdf.findall("joint") if j.get("type") == "revolute" and j.find("mimic") is None]
    limits = [j.find("limit") for j in driven]

    def column(key: str, of_hand: list[float]) -> np.ndarray:
        return np.array([joint[key] for joint in arm.values()] + of_hand)

    return Bounds(
        [*arm, *(j.get("name") for j in driven)],
        column("lower", [float(limit.get("lower")) for limit in limits]),
        column("upper", [float(limit.get("upper")) for limit in limits]),
        [
            column("velocity", [float(limit.get("velocity")) for limit in limits]),
            column("acceleration", [hand["acceleration"]] * len(driven)),
            column("jerk", [hand["jerk"]] * len(driven)),
        ],
    )


def check(bounds: Bounds, start: np.ndarray, q: np.ndarray, v: np.ndarray, a: np.ndarray, share: float) -> None:
    """Check a motion sampled every DT from rest at `start` (J,); `share` of each rate limit may be used."""
    columns = q.shape[1]
    assert (q >= bounds.lower[:columns] - 1e-9).all() and (q <= bounds.upper[:columns] + 1e-9).all()
    rates = [rate[:columns] * share for rate in bounds.rates]
    assert (np.abs(v) <= rates[0]).all() and (np.abs(a) <= rates[1]).all()
    assert not v[-1].any()
    # still before the start and after the end; a difference quotient never exceeds its derivative's bound
    whole = np.concatenate([np.tile(start, (3, 1)), q, np.tile(q[-1], (3, 1))])
    difference = whole
    for rate in rates:
        difference = np.diff(difference, axis=0) / DT
        assert (np.abs(difference) <= rate + 1e-6).all()
    # reported derivatives are the positions' own, to what the jerk limit can do within a step
    before, here, after = (whole[first : first + len(q)] for first in (2, 3, 4))
    assert (np.abs((after - before) / (2.0 * DT) - v) <= rates[2] * DT**2 / 4.0 + 1e-6).all()
    assert (np.abs((after - 2.0 * here + before) / DT**2 - a) <= rates[2] * DT / 2.0 + 1e-6).all()


def walk_forward(q: np.ndarray) -> np.ndarray:
    """Return link_eef in link_base, (4, 4), by walking the URDF's joints with scalar arithmetic."""
    root = ElementTree.parse(ROOT / "urdf/xarm7.urdf").getroot()
    angles = {f"joint{i + 1}": angle for i, angle in enumerate(q)}
    pose = np.eye(4)
    for joint in root.findall("joint"):  # written in chain order
        if joint.find("parent").get("link") == "world":
            continue
        origin = joint.find("origin")
        x, y, z = (float(value) for value in origin.get("rpy").split())
        step = np.eye(4)
        step[:3, :3] = _about(z, 2) @ _about(y, 1) @ _about(x, 0)
        step[:3, 3] = [float(value) for value in origin.get("xyz").split()]
        pose = pose @ step
        turn = np.eye(4)
        turn[:3, :3] = _about(angles.get(joint.get("name"), 0.0), 2)
        pose = pose @ turn
    return pose


def _about(angle: float, axis: int) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array(
        [
            [[1, 0, 0], [0, c, -s], [0, s, c]],
            [[c, 0, s], [0, 1, 0], [-s, 0, c]],
            [[c, -s, 0], [s, c, 0], [0, 0, 1]],
        ]
    )[axis]


@pytest.mark.parametrize("batch", range(BATCHES))
def test_joint_motions(bounds: Bounds, batch: int) -> None:
    limits = Arm.load("xarm7").limits.joined(hand_limits())
    assert list(limits.names) == bounds.names
    rng = np.random.default_rng(100 + batch)
    for _ in range(JOINT_MOTIONS):
        start, goal = rng.uniform(bounds.lower, bounds.upper, (2, len(bounds.names)))
        goal = start + (goal - start) * rng.choice([0.003, 0.05, 0.4, 1.0])
        share = rng.uniform(0.1, 1.0)
        timed = time_point_to_point(start, goal, limits, share, DT)
        np.testing.assert_array_equal(timed.positions[-1], goal)
        check(bounds, start, timed.positions[1:], timed.velocities[1:], timed.accelerations[1:], share)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_straight_lines(bounds: Bounds, batch: int) -> None:
    arm = Arm.load("xarm7")
    rng = np.random.default_rng(200 + batch)
    checked = 0
    while checked < LINES:
        q = arm.home + rng.uniform(-1.0, 1.0, 7)
        begin = arm.forward(q[None])[0]
        end = begin.copy()
        way = rng.normal(size=3)
        end[:3, 3] += way / np.linalg.norm(way) * rng.uniform(0.01, 0.15)
        waypoints, ok = ik.solve_along(arm, q[None], ik.straight_line(begin, end))
        if not ok[0]:
            continue
        checked += 1
        share = rng.uniform(0.1, 1.0)
        timed = time_along_path(waypoints[0], arm.limits, share, DT)
        check(bounds, waypoints[0][0], timed.positions[1:], timed.velocities[1:], timed.accelerations[1:], share)
        for row in timed.positions[:: max(1, len(timed.positions) // 4)]:
            along = (walk_forward(row)[:3, 3] - begin[:3, 3]) @ way / np.linalg.norm(way)
            on_line = begin[:3, 3] + along * way / np.linalg.norm(way)
            assert np.linalg.norm(walk_forward(row)[:3, 3] - on_line) < 1e-3


@pytest.mark.parametrize("batch", range(BATCHES))
def test_whole_plans(bounds: Bounds, batch: int) -> None:
    arm = Arm.load("xarm7")
    rng = np.random.default_rng(300 + batch)
    planned, asked = 0, 0
    while planned < FULL:
        asked += 1
        centre, share = rng.uniform([0.35, -0.25], [0.55, 0.25]), rng.uniform(0.15, 1.0)
        targets = top_down(centre, yaw=rng.uniform(-np.pi, np.pi))
        home = home_state(arm)
        start = RobotState(
            home.arm_joint_names,
            home.arm_positions + rng.uniform(-0.3, 0.3, 7),
            home.hand_joint_names,
            rng.uniform(bounds.lower[7:], 0.3 * bounds.upper[7:]),
        )
        try:
            plan = plan_motion(arm, hand_limits(), start, targets, world(centre), share)
        except PlanRejected:
            continue
        planned += 1
        assert [*plan.arm.joint_names, *plan.hand.joint_names] == bounds.names
        q, v, a = (
            np.concatenate([getattr(plan.arm, key), getattr(plan.hand, key)], axis=1)
            for key in ("positions", "velocities", "accelerations")
        )
        np.testing.assert_allclose(plan.arm.times, DT * np.arange(1, len(q) + 1))
        check(bounds, np.concatenate([start.arm_positions, start.hand_positions]), q, v, a, share)
        _check_space(plan.arm.positions, plan.phases, centre, targets.base_from_eef_grasp)
    assert planned >= 0.8 * asked  # the planner does not escape by refusing


def _check_space(q: np.ndarray, phases: dict, centre: np.ndarray, grasp: np.ndarray) -> None:
    """Check that the hand goes where it should, over the table, and clear of the block in transit."""
    closing = round(phases["close"][0] / DT) - 1
    np.testing.assert_allclose(walk_forward(q[closing]), grasp, atol=1e-3)
    hand, block = world(None).hand, object_points(centre)
    local = np.concatenate([hand.centers(np.zeros((1, 7)))[0], np.ones((len(hand.radii), 1))], axis=1)
    for row, configuration in list(enumerate(q))[::20]:
        spheres = (local @ walk_forward(configuration).T)[:, :3]
        assert (spheres[:, 2] - hand.radii).min() > -1e-3
        if (row + 1) * DT <= phases["transit"][1]:
            gaps = np.linalg.norm(spheres[:, None] - block[None], axis=2).min(axis=1) - hand.radii
            assert gaps.min() > 0.0
