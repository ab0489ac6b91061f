"""The safety verdict: one pure function that says whether a trajectory may be run, and why not.

It trusts nothing about where the trajectory came from. Rules that need sound data (finite numbers,
increasing times) come first; while one of those is broken the later ones are not asked.

Index legend: T points, J joints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maskdex_core.motion.arm import Arm
from maskdex_core.motion.collision import CollisionModel, World
from maskdex_core.motion.contact_rules import (
    DEFAULT_SAFETY,
    SafetySettings,
    collision_reasons,
    phase_of,
    workspace_reasons,
)
from maskdex_core.motion.interpolation import DenseMotion, densify
from maskdex_core.motion.state import state_reasons
from maskdex_core.motion.types import (
    CLOSE,
    PHASES,
    JointLimits,
    JointTrajectory,
    RobotState,
    RobotTrajectory,
    Verdict,
)

SLACK = 1e-6
"""share of a limit, and rad, that rounding may add"""
HAND_REACH = 0.25
"""m that the hand may stick out beyond the tip, for the spacing of collision checks"""


def check_trajectory(
    trajectory: RobotTrajectory,
    arm: Arm,
    hand_limits: JointLimits,
    start: RobotState,
    world: World,
    settings: SafetySettings = DEFAULT_SAFETY,
) -> Verdict:
    """Judge a trajectory on the motion that the controllers will make of it.

    Args:
        trajectory: arm and hand points; without phases every contact with the object is refused.
        arm: its limits, workspace and shapes.
        hand_limits: driven hand joints, in the order the hand's controller expects.
        start: where the robot stands now.
        world: table, object and hand shapes.
        settings: tolerances.

    Returns:
        Verdict with one reason for each broken rule (see the sentences' first words): names, times, finite,
        phases, start, end, consistency, position, velocity, acceleration, jerk, workspace, and self, table
        and object collision.
    """
    reasons = _structure(trajectory, arm, hand_limits)
    if reasons:
        return Verdict(False, tuple(reasons))
    parts = (_Part("arm", trajectory.arm, arm.limits), _Part("hand", trajectory.hand, hand_limits))
    start_reasons = state_reasons(start, arm, hand_limits, settings.start_tolerance)
    if not start_reasons:
        start_reasons = _start(parts, start, settings)
    reasons += start_reasons
    for part in parts:
        reasons += _end(part)
        crooked = _consistency(part, settings)
        reasons += crooked or _limits(part)
    reasons += _still_while_closing(trajectory)
    reasons += _space(trajectory, arm, world, settings)
    return Verdict(not reasons, tuple(reasons))


@dataclass(frozen=True)
class _Part:
    what: str
    motion: JointTrajectory
    limits: JointLimits

    @property
    def dense(self) -> DenseMotion:
        motion = self.motion
        return densify(motion.times, motion.positions, motion.velocities, motion.accelerations)


def _structure(trajectory: RobotTrajectory, arm: Arm, hand_limits: JointLimits) -> list[str]:
    reasons = []
    for what, motion, names in (
        ("arm", trajectory.arm, arm.joint_names),
        ("hand", trajectory.hand, hand_limits.names),
    ):
        if motion.joint_names != names:
            reasons.append(
                f"names: {what} trajectory has joints {', '.join(motion.joint_names)}; "
                f"its controller has {', '.join(names)}"
            )
        reasons += _finite(what, motion) or _times(what, motion)
    if reasons:
        return reasons
    if not np.array_equal(trajectory.arm.times, trajectory.hand.times):
        return ["times: arm and hand trajectory have different times"]
    return _phases(trajectory)


def _finite(what: str, motion: JointTrajectory) -> list[str]:
    for key in ("times", "positions", "velocities", "accelerations"):
        values = getattr(motion, key)
        if not np.isfinite(values).all():
            return [f"finite: {what} {key} hold {int((~np.isfinite(values)).sum())} values that are not numbers"]
    return []


def _times(what: str, motion: JointTrajectory) -> list[str]:
    if motion.times[0] <= 0.0:
        return [f"times: first point of the {what} is at {motion.times[0]} s; expected after 0"]
    steps = np.diff(motion.times)
    if len(steps) and steps.min() <= 0.0:
        index = int(np.argmax(steps <= 0.0))
        return [
            f"times: {what} times do not increase strictly: "
            f"{motion.times[index]} s is followed by {motion.times[index + 1]} s"
        ]
    return []


def _phases(trajectory: RobotTrajectory) -> list[str]:
    spans = dict(trajectory.phases)
    unknown = [name for name in spans if name not in PHASES]
    if unknown:
        return [f"phases: {', '.join(unknown)} are unknown; known: {', '.join(PHASES)}"]
    if not spans:
        return []
    edges = [edge for name in PHASES if name in spans for edge in spans[name]]
    expected = [0.0, *(edge for edge in edges[2::2] for _ in (0, 1)), trajectory.duration]
    if len(edges) != len(expected) or not np.allclose(edges, expected, atol=1e-6) or np.any(np.diff(edges) < 0):
        return [f"phases: {spans} do not follow each other from 0 to {trajectory.duration} s"]
    return []


def _start(parts: tuple[_Part, _Part], start: RobotState, settings: SafetySettings) -> list[str]:
    reasons = []
    named = {
        "arm": dict(zip(start.arm_joint_names, start.arm_positions, strict=True)),
        "hand": dict(zip(start.hand_joint_names, start.hand_positions, strict=True)),
    }
    for part in parts:
        names, first = part.motion.joint_names, part.motion.positions[0]
        state = np.array([named[part.what][name] for name in names])
        away = np.abs(first - state)
        worst = int(np.argmax(away))
        if away[worst] > settings.start_tolerance:
            reasons.append(
                f"start: {names[worst]} stands at {state[worst]:.4f} rad but the trajectory starts at "
                f"{first[worst]:.4f} rad; at most {settings.start_tolerance} rad apart allowed"
            )
        # the robot stands still at time 0, so the first point's speed has to be within reach from rest
        reach = part.limits.acceleration * part.motion.times[0]
        over = np.abs(part.motion.velocities[0]) / reach
        worst = int(np.argmax(over))
        if over[worst] > 1.0 + SLACK:
            reasons.append(
                f"start: {names[worst]} moves at {part.motion.velocities[0][worst]:.4f} rad/s "
                f"{part.motion.times[0]:g} s after rest; the limits allow {reach[worst]:.4f} rad/s"
            )
    return reasons


def _end(part: _Part) -> list[str]:
    last = np.abs(part.motion.velocities[-1])
    if last.max(initial=0.0) == 0.0:
        return []
    worst = int(np.argmax(last))
    return [
        f"end: {part.motion.joint_names[worst]} has velocity {part.motion.velocities[-1][worst]:.4g} rad/s "
        "at the last point; expected 0"
    ]


def _consistency(part: _Part, settings: SafetySettings) -> list[str]:
    """Compare each step with the integral of its ends' derivatives, exact for constant jerk."""
    motion = part.motion
    h = np.diff(motion.times)[:, None]
    if len(h) == 0:
        return []
    q, v, a = motion.positions, motion.velocities, motion.accelerations
    moved = np.diff(q, axis=0) - h / 2.0 * (v[:-1] + v[1:]) - h**2 / 12.0 * (a[:-1] - a[1:])
    sped = np.diff(v, axis=0) - h / 2.0 * (a[:-1] + a[1:])
    # Peano kernels of the two rules integrate to 0.033 h^3 and h^2 / 4 times the greatest jerk
    checks = (
        ("velocities", "positions", np.abs(moved), 0.033 * settings.consistency_jerk * h**3 + SLACK),
        ("accelerations", "velocities", np.abs(sped), 0.25 * settings.consistency_jerk * h**2 + SLACK),
    )
    for rate, base, error, allowed in checks:
        over = error / allowed
        if over.max() > 1.0:
            step, joint = np.unravel_index(int(np.argmax(over)), over.shape)
            return [
                f"consistency: {rate} of {motion.joint_names[joint]} do not fit its {base} "
                f"at {motion.times[step]:.2f} s"
            ]
    return []


def _limits(part: _Part) -> list[str]:
    """Judge the motion that the controller interpolates between the points."""
    motion, limits = part.motion, part.limits
    if len(motion.times) == 1:
        return _position(part, motion.positions[None], motion.times[None])
    dense = part.dense
    reasons = _position(part, dense.positions, dense.times)
    jerks = np.array(dense.jerks)
    # from rest to the first point: the jerk that leads to its acceleration, put down to the first instant
    lead_in = motion.accelerations[0] / motion.times[0]
    jerks[0, 0] = np.where(np.abs(lead_in) > np.abs(jerks[0, 0]), lead_in, jerks[0, 0])
    for what, unit, values, limit in (
        ("velocity", "rad/s", dense.velocities, limits.velocity),
        ("acceleration", "rad/s^2", dense.accelerations, limits.acceleration),
        ("jerk", "rad/s^3", jerks, limits.jerk),
    ):
        share = np.abs(values) / limit
        segment, sample, joint = np.unravel_index(int(np.argmax(share)), share.shape)
        if share[segment, sample, joint] > 1.0 + SLACK:
            reasons.append(
                f"{what}: {motion.joint_names[joint]} reaches {values[segment, sample, joint]:.4g} {unit} "
                f"at {dense.times[segment, sample]:.2f} s; limit {limit[joint]:.4g}"
            )
    return reasons


def _position(part: _Part, positions: np.ndarray, times: np.ndarray) -> list[str]:
    over = np.maximum(part.limits.lower - positions, positions - part.limits.upper)
    segment, sample, joint = np.unravel_index(int(np.argmax(over)), over.shape)
    if over[segment, sample, joint] <= SLACK:
        return []
    return [
        f"position: {part.motion.joint_names[joint]} reaches {positions[segment, sample, joint]:.4f} rad "
        f"at {times[segment, sample]:.2f} s; "
        f"limits [{part.limits.lower[joint]:.4f}, {part.limits.upper[joint]:.4f}]"
    ]


def _still_while_closing(trajectory: RobotTrajectory) -> list[str]:
    """Closing may touch the object, so nothing else may move under that name."""
    if CLOSE not in trajectory.phases:
        return []
    begin, end = trajectory.phases[CLOSE]
    times = trajectory.arm.times
    moved = np.abs(trajectory.arm.velocities[(times >= begin) & (times <= end)]).max(axis=0, initial=0.0)
    if moved.max(initial=0.0) <= SLACK:
        return []
    joint = trajectory.arm.joint_names[int(np.argmax(moved))]
    return [f"phases: {joint} moves at {moved.max():.4g} rad/s while the hand closes; expected 0"]


def _space(trajectory: RobotTrajectory, arm: Arm, world: World, settings: SafetySettings) -> list[str]:
    times, q_arm, q_hand = _spaced(trajectory, arm, settings.collision_step)
    phases = phase_of(times, dict(trajectory.phases))
    model = CollisionModel(arm, world)
    tip = arm.forward(q_arm)[:, :3, 3]
    reasons = workspace_reasons(tip, arm.workspace, arm.config.tip_frame, times)
    return reasons + collision_reasons(model, q_arm, q_hand, phases, settings, times)


def _spaced(trajectory: RobotTrajectory, arm: Arm, step: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return times (K,), arm (K, 7) and hand (K, J) positions in steps under `step` m."""
    arm_motion, hand_motion = trajectory.arm, trajectory.hand
    if len(arm_motion.times) == 1:
        return arm_motion.times, arm_motion.positions, hand_motion.positions
    dense = [densify(m.times, m.positions, m.velocities, m.accelerations) for m in (arm_motion, hand_motion)]
    times = dense[0].times.reshape(-1)
    q_arm, q_hand = (d.positions.reshape(len(times), -1) for d in dense)
    keep = spaced_indices(q_arm, q_hand, arm, step)
    # the ends of phases have to be among them: contact rules speak of where a phase ends
    edges = np.searchsorted(times, [edge for span in trajectory.phases.values() for edge in span])
    keep = np.unique(np.concatenate([keep, np.clip(edges, 0, len(times) - 1)]))
    return times[keep], q_arm[keep], q_hand[keep]


def spaced_indices(q_arm: np.ndarray, q_hand: np.ndarray, arm: Arm, step: float) -> np.ndarray:
    """Return indices of a sequence of configurations, both ends included, about `step` m of motion apart."""
    way = np.abs(np.diff(q_arm, axis=0)) @ (arm.reach() + HAND_REACH)
    way += np.abs(np.diff(q_hand, axis=0)).max(axis=1, initial=0.0) * HAND_REACH
    passed = np.concatenate([[0.0], np.cumsum(way)])
    count = int(np.ceil(passed[-1] / step)) + 1
    marks = np.linspace(0.0, passed[-1], max(count, 2))
    return np.unique(np.clip(np.searchsorted(passed, marks), 0, len(passed) - 1))
