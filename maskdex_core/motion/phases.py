"""From targets to a robot trajectory: transit, approach, close, lift, judged before it is returned.

Index legend: B arm configurations that reach the grasp, N waypoints of a line, T points in time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from maskdex_core.errors import PlanRejected, RobotError
from maskdex_core.motion import ik
from maskdex_core.motion.arm import Arm
from maskdex_core.motion.collision import CollisionModel, World
from maskdex_core.motion.contact_rules import DEFAULT_SAFETY, SafetySettings, collision_reasons
from maskdex_core.motion.state import ordered_state
from maskdex_core.motion.time_scaling import TimedPath, time_along_path, time_point_to_point
from maskdex_core.motion.types import (
    APPROACH,
    CLOSE,
    LIFT,
    TRANSIT,
    JointLimits,
    JointTrajectory,
    MotionTargets,
    RobotState,
    RobotTrajectory,
)
from maskdex_core.motion.verdict import check_trajectory, spaced_indices

CONFIGURATIONS = 6
"""arm configurations at the grasp that are tried, nearest to the start first"""
RAISE = 0.15
"""m that a detour passes above the approach pose or the start"""


@dataclass(frozen=True)
class _Task:
    """One planning request in the order of the limits, with what is built once for it."""

    arm: Arm
    hand_limits: JointLimits
    limits: JointLimits
    model: CollisionModel
    settings: SafetySettings
    speed_scale: float
    dt: float
    q_arm: np.ndarray
    q_hand: np.ndarray
    targets: MotionTargets


def plan_motion(
    arm: Arm,
    hand_limits: JointLimits,
    start: RobotState,
    targets: MotionTargets,
    world: World,
    speed_scale: float = 0.3,
    settings: SafetySettings = DEFAULT_SAFETY,
    dt: float = 0.02,
) -> RobotTrajectory:
    """Plan transit to the approach pose, straight approach, closing, and straight lift.

    Args:
        arm: the arm.
        hand_limits: driven hand joints; the targets' hand vectors are in this order.
        start: where the robot stands, at rest.
        targets: tip poses in the base frame and hand joint positions.
        world: table, object and hand shapes.
        speed_scale: share in (0, 1] of velocity, acceleration and jerk limits to use.
        settings: tolerances of the verdict.
        dt: s between points.

    Returns:
        A trajectory that has passed `check_trajectory` against `start`; points at dt, 2 dt, ...

    Raises:
        RobotError: when the start state or the targets cannot be used.
        PlanRejected: when no safe motion was found, with the reasons of what was tried.
    """
    q_arm, q_hand = ordered_state(start, arm, hand_limits, settings.start_tolerance)
    _check_hand_targets(targets, hand_limits)
    limits = arm.limits.joined(hand_limits)
    model = CollisionModel(arm, world)
    task = _Task(arm, hand_limits, limits, model, settings, speed_scale, dt, q_arm, q_hand, targets)
    at_start = _contacts(task, q_arm[None], q_hand[None], TRANSIT)
    if at_start:
        raise PlanRejected(f"at the start: {reason}" for reason in at_start)
    reasons: list[str] = []
    trajectory = _first_safe(task, start, reasons)
    if trajectory is None:
        raise PlanRejected(dict.fromkeys(reasons))
    return trajectory


def _first_safe(task: _Task, start: RobotState, reasons: list[str]) -> RobotTrajectory | None:
    """Return the first trajectory that passes the verdict; collect what speaks against the others."""
    for approach, lift in _lines(task, reasons):
        via = next(_ways(task, approach[0]), None)
        if via is None:
            reasons.append("no collision-free way from the start to the approach pose was found")
            continue
        trajectory = _timed(task, [*via, approach[0]], approach, lift)
        world, settings = task.model.world, task.settings
        verdict = check_trajectory(trajectory, task.arm, task.hand_limits, start, world, settings)
        if verdict.ok:
            return trajectory
        reasons += verdict.reasons
    return None


def _check_hand_targets(targets: MotionTargets, limits: JointLimits) -> None:
    for key in ("hand_pregrasp", "hand_grasp", "hand_squeeze"):
        values = getattr(targets, key)
        if len(values) != len(limits.names):
            raise RobotError(f"motion targets: {key} has {len(values)} values; expected {len(limits.names)}")
        for name, value, lower, upper in zip(limits.names, values, limits.lower, limits.upper, strict=True):
            if not lower - 1e-6 <= value <= upper + 1e-6:
                raise RobotError(
                    f"motion targets: {key} of {name} is {value:.4f} rad, outside [{lower:.4f}, {upper:.4f}]"
                )


def _lines(task: _Task, reasons: list[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield approach and lift waypoints (N, 7) rad of each configuration whose lines are free.

    Both lines start at the grasp, the pose that constrains most, so that they meet there exactly.
    """
    targets = task.targets
    grasps = ik.solve_all(task.arm, targets.base_from_eef_grasp, task.q_arm)[:CONFIGURATIONS]
    if len(grasps) == 0:
        x, y, z = targets.base_from_eef_grasp[:3, 3]
        reasons.append(f"inverse kinematics: the grasp pose at ({x:.3f}, {y:.3f}, {z:.3f}) m is out of reach")
        return
    back = ik.straight_line(targets.base_from_eef_grasp, targets.base_from_eef_approach)
    up = ik.straight_line(targets.base_from_eef_grasp, targets.base_from_eef_lift)
    approaches, approach_ok = ik.solve_along(task.arm, grasps, back)
    lifts, lift_ok = ik.solve_along(task.arm, grasps, up)
    for approach, lift, can_approach, can_lift in zip(approaches, lifts, approach_ok, lift_ok, strict=True):
        if not can_approach or not can_lift:
            which = "lift" if can_approach else "approach"
            reasons.append(f"inverse kinematics: the straight {which} leaves the arm's reach or joint limits")
            continue
        approach = approach[::-1]
        blocked = _contacts(task, approach, _repeat(targets.hand_pregrasp, approach), APPROACH)
        blocked += _contacts(task, lift, _repeat(targets.hand_squeeze, lift), LIFT)
        reasons += blocked
        if not blocked:
            yield approach, lift


def _ways(task: _Task, goal: np.ndarray) -> Iterator[list[np.ndarray]]:
    """Yield lists of via configurations (7,) whose joint-space legs from start to goal are free."""
    pose = task.arm.forward(np.stack([goal, task.q_arm]))
    pose[:, 2, 3] += RAISE

    def above(which: int, near: np.ndarray) -> list[np.ndarray]:
        found = ik.solve(task.arm, pose[which], near)
        return [] if found is None else [found]

    detours = (
        list,
        lambda: above(0, goal),
        lambda: [task.arm.home],
        lambda: [task.arm.home, *above(0, goal)],
        lambda: [*above(1, task.q_arm), *above(0, goal)],
        lambda: [*above(1, task.q_arm), task.arm.home, *above(0, goal)],
    )
    for detour in detours:
        via = detour()
        if _way_is_free(task, [task.q_arm, *via, goal]):
            yield via


def _way_is_free(task: _Task, stations: list[np.ndarray]) -> bool:
    q_hand = task.q_hand
    for begin, end in pairwise(stations):
        share = np.linspace(0.0, 1.0, 400)[:, None]
        arm = begin + share * (end - begin)
        # the hand moves on the first leg only, with the arm
        hand = q_hand + share * (task.targets.hand_pregrasp - q_hand)
        keep = spaced_indices(arm, hand, task.arm, 2.0 * task.settings.collision_step)
        if _contacts(task, arm[keep], hand[keep], TRANSIT):
            return False
        q_hand = task.targets.hand_pregrasp
    return True


def _contacts(task: _Task, arm: np.ndarray, hand: np.ndarray, phase: str) -> list[str]:
    phases = np.full(len(arm), phase, dtype=object)
    return collision_reasons(task.model, arm, hand, phases, task.settings)


def _repeat(hand: np.ndarray, arm: np.ndarray) -> np.ndarray:
    return np.broadcast_to(hand, (len(arm), len(hand)))


def _timed(task: _Task, stations: list[np.ndarray], approach: np.ndarray, lift: np.ndarray) -> RobotTrajectory:
    """Time all phases leg by leg, each from rest to rest, and join them on one time axis."""
    targets = task.targets
    legs: dict[str, list[TimedPath]] = {TRANSIT: [], APPROACH: [], CLOSE: [], LIFT: []}
    here = np.concatenate([task.q_arm, task.q_hand])
    for station in stations:
        goal = np.concatenate([station, targets.hand_pregrasp])
        legs[TRANSIT].append(_point_to_point(task, here, goal))
        here = goal
    legs[APPROACH].append(_along(task, approach, targets.hand_pregrasp))
    here = np.concatenate([approach[-1], targets.hand_pregrasp])
    for hand in (targets.hand_grasp, targets.hand_squeeze):
        goal = np.concatenate([approach[-1], hand])
        legs[CLOSE].append(_point_to_point(task, here, goal))
        here = goal
    legs[LIFT].append(_along(task, lift, targets.hand_squeeze))
    return _joined(task, legs)


def _point_to_point(task: _Task, start: np.ndarray, goal: np.ndarray) -> TimedPath:
    return time_point_to_point(start, goal, task.limits, task.speed_scale, task.dt)


def _along(task: _Task, waypoints: np.ndarray, hand: np.ndarray) -> TimedPath:
    both = np.concatenate([waypoints, _repeat(hand, waypoints)], axis=1)
    return time_along_path(both, task.limits, task.speed_scale, task.dt)


def _joined(task: _Task, legs: dict[str, list[TimedPath]]) -> RobotTrajectory:
    """Join the legs; every leg's first point is the last one of the leg before, and is dropped."""
    paths = [path for parts in legs.values() for path in parts]
    positions, velocities, accelerations = (
        np.concatenate([getattr(path, key)[1:] for path in paths])
        for key in ("positions", "velocities", "accelerations")
    )
    times = np.arange(1, len(positions) + 1) * task.dt
    phases, steps = {}, 0
    for name, parts in legs.items():
        begin, steps = steps, steps + sum(len(path.times) - 1 for path in parts)
        phases[name] = (begin * task.dt, steps * task.dt)
    split = len(task.arm.joint_names)
    arm, hand = (
        JointTrajectory(names, times, positions[:, part], velocities[:, part], accelerations[:, part])
        for names, part in (
            (task.arm.joint_names, slice(0, split)),
            (task.hand_limits.names, slice(split, None)),
        )
    )
    return RobotTrajectory(arm=arm, hand=hand, phases=phases)
