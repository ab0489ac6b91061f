"""From targets to a robot trajectory: transit, approach, close, lift, judged before it is returned.

Index legend: T points in time.
"""

from __future__ import annotations

import numpy as np

from maskdex_core.errors import PlanRejected, RobotError
from maskdex_core.motion.arm import Arm
from maskdex_core.motion.collision import CollisionModel, World
from maskdex_core.motion.contact_rules import DEFAULT_SAFETY, SafetySettings
from maskdex_core.motion.lines import Lines, free_lines
from maskdex_core.motion.state import ordered_state
from maskdex_core.motion.task import MotionTask
from maskdex_core.motion.time_scaling import TimedPath, time_along_path, time_point_to_point
from maskdex_core.motion.transit import free_way
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
from maskdex_core.motion.verdict import check_trajectory

SEARCHES = 2
"""arm configurations at the grasp for which a way is searched, not only tried"""


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
    task = MotionTask(arm, hand_limits, limits, model, settings, speed_scale, dt, q_arm, q_hand, targets)
    at_start = task.contacts(q_arm[None], q_hand, TRANSIT)
    if at_start:
        raise PlanRejected(f"at the start: {reason}" for reason in at_start)
    reasons: list[str] = []
    trajectory = _first_safe(task, start, reasons)
    if trajectory is None:
        raise PlanRejected(dict.fromkeys(reasons))
    return trajectory


def _first_safe(task: MotionTask, start: RobotState, reasons: list[str]) -> RobotTrajectory | None:
    """Return the first trajectory that passes the verdict; collect what speaks against the others."""
    blocked: list[Lines] = []
    for lines in free_lines(task, reasons):
        trajectory = _by_way(task, start, lines, False, reasons)
        if trajectory is not None:
            return trajectory
        blocked.append(lines)
    for lines in blocked[:SEARCHES]:
        trajectory = _by_way(task, start, lines, True, reasons)
        if trajectory is not None:
            return trajectory
    return None


def _by_way(
    task: MotionTask, start: RobotState, lines: Lines, search: bool, reasons: list[str]
) -> RobotTrajectory | None:
    stations = free_way(task, lines.approach[0], search)
    if stations is None:
        reasons.append("no collision-free way from the start to the approach pose was found")
        return None
    trajectory = _timed(task, stations, lines.approach, lines.lift)
    verdict = check_trajectory(trajectory, task.arm, task.hand_limits, start, task.model.world, task.settings)
    reasons += verdict.reasons
    return trajectory if verdict.ok else None


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


def _timed(task: MotionTask, stations: list[np.ndarray], approach: np.ndarray, lift: np.ndarray) -> RobotTrajectory:
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


def _point_to_point(task: MotionTask, start: np.ndarray, goal: np.ndarray) -> TimedPath:
    return time_point_to_point(start, goal, task.limits, task.speed_scale, task.dt)


def _along(task: MotionTask, waypoints: np.ndarray, hand: np.ndarray) -> TimedPath:
    both = np.concatenate([waypoints, np.broadcast_to(hand, (len(waypoints), len(hand)))], axis=1)
    return time_along_path(both, task.limits, task.speed_scale, task.dt)


def _joined(task: MotionTask, legs: dict[str, list[TimedPath]]) -> RobotTrajectory:
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
