"""The rules of the verdict that need no world: form of the data, and what joints and motors can do.

Each returns sentences whose first word names the rule. Limits are judged on the motion that the controller
makes of the points, not on the points.

Index legend: T points, J joints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maskdex_core.motion.arm import Arm
from maskdex_core.motion.interpolation import densify
from maskdex_core.motion.types import APPROACH, CLOSE, LIFT, PHASES, JointLimits, JointTrajectory, RobotTrajectory

SLACK = 1e-6
"""share of a limit, and rad, that rounding may add"""


@dataclass(frozen=True)
class Part:
    """One controller's share of a trajectory: "arm" or "hand", its points and its limits."""

    what: str
    motion: JointTrajectory
    limits: JointLimits


def parts(trajectory: RobotTrajectory, arm: Arm, hand_limits: JointLimits) -> tuple[Part, Part]:
    """Return what each of the two controllers gets."""
    return Part("arm", trajectory.arm, arm.limits), Part("hand", trajectory.hand, hand_limits)


def form_reasons(
    trajectory: RobotTrajectory, arm: Arm, hand_limits: JointLimits, longest_step: float, most_points: int
) -> list[str]:
    """Return what is wrong with names, numbers, times and phases; other rules need those to be sound."""
    reasons = []
    for part in parts(trajectory, arm, hand_limits):
        if part.motion.joint_names != part.limits.names:
            reasons.append(
                f"names: {part.what} trajectory has joints {', '.join(part.motion.joint_names)}; "
                f"its controller has {', '.join(part.limits.names)}"
            )
        reasons += _size(part, most_points) or _finite(part) or _times(part, longest_step)
    if reasons:
        return reasons
    if not np.array_equal(trajectory.arm.times, trajectory.hand.times):
        return ["times: arm and hand trajectory have different times"]
    return _phases(trajectory)


def motion_reasons(part: Part, consistency_jerk: float, from_rest: bool = True) -> list[str]:
    """Return what no motor could follow: a speed at the end, derivatives that do not fit, limits passed.

    Args:
        consistency_jerk: rad/s^3 by which derivatives may differ between points.
        from_rest: whether the robot stands still at time 0; a stop begins while it moves.
    """
    return _end(part) + (_consistency(part, consistency_jerk) or _limits(part, from_rest))


def from_rest_reasons(part: Part) -> list[str]:
    """Return what is too fast at the first point for a robot that stands still at time 0."""
    motion, limits = part.motion, part.limits
    t = motion.times[0]
    reach = limits.acceleration * t
    over = np.abs(motion.velocities[0]) / reach
    worst = int(np.argmax(over))
    if over[worst] <= 1.0 + SLACK:
        return []
    return [
        f"start: {motion.joint_names[worst]} moves at {motion.velocities[0][worst]:.4f} rad/s "
        f"{t:g} s after rest; the limits allow {reach[worst]:.4f} rad/s"
    ]


def still_while_closing(trajectory: RobotTrajectory) -> list[str]:
    """Closing may touch the object, so nothing else may move under that name."""
    if CLOSE not in trajectory.phases:
        return []
    begin, end = trajectory.phases[CLOSE]
    times = trajectory.arm.times
    during = trajectory.arm.velocities[(times >= begin - 1e-9) & (times <= end + 1e-9)]
    moved = np.abs(during).max(axis=0, initial=0.0)
    if moved.max(initial=0.0) <= SLACK:
        return []
    joint = trajectory.arm.joint_names[int(np.argmax(moved))]
    return [f"phases: {joint} moves at {moved.max():.4g} rad/s while the hand closes; expected 0"]


def _size(part: Part, most_points: int) -> list[str]:
    count = len(part.motion.times)
    return [f"times: the {part.what} has {count} points; at most {most_points}"] if count > most_points else []


def _finite(part: Part) -> list[str]:
    for key in ("times", "positions", "velocities", "accelerations"):
        values = getattr(part.motion, key)
        if not np.isfinite(values).all():
            return [f"finite: {part.what} {key} hold {int((~np.isfinite(values)).sum())} values that are not numbers"]
    return []


def _times(part: Part, longest_step: float) -> list[str]:
    times, what = part.motion.times, part.what
    if times[0] <= 0.0:
        return [f"times: first point of the {what} is at {times[0]} s; expected after 0"]
    steps = np.diff(times, prepend=0.0)
    if steps.min() <= 0.0:
        index = int(np.argmax(steps <= 0.0))
        return [f"times: {what} times do not increase strictly: {times[index - 1]} s is followed by {times[index]} s"]
    if steps.max() > longest_step + SLACK:
        index = int(np.argmax(steps))
        return [
            f"times: {what} points up to {times[index]:.3f} s are {steps[index]:.3f} s apart; at most {longest_step} s"
        ]
    return []


def _phases(trajectory: RobotTrajectory) -> list[str]:
    spans = dict(trajectory.phases)
    unknown = [name for name in spans if name not in PHASES]
    if unknown:
        return [f"phases: {', '.join(unknown)} are unknown; known: {', '.join(PHASES)}"]
    if not spans:
        return []
    before = {LIFT: CLOSE, CLOSE: APPROACH}
    for name in spans:
        if name in before and before[name] not in spans:
            return [f"phases: {name} without {before[name]} before it"]
    edges = [edge for name in PHASES if name in spans for edge in spans[name]]
    expected = [0.0, *(edge for edge in edges[2::2] for _ in (0, 1)), trajectory.duration]
    if len(edges) != len(expected) or not np.allclose(edges, expected, atol=1e-6) or np.any(np.diff(edges) < 0):
        return [f"phases: {spans} do not follow each other from 0 to {trajectory.duration} s"]
    return []


def _end(part: Part) -> list[str]:
    motion = part.motion
    # a motor that still accelerates when the last point is reached would have to stop that at once
    jump = part.limits.acceleration * SLACK
    for what, unit, last, allowed in (
        ("velocity", "rad/s", np.abs(motion.velocities[-1]), np.zeros(len(jump))),
        ("acceleration", "rad/s^2", np.abs(motion.accelerations[-1]), jump),
    ):
        over = last - allowed
        if over.max(initial=0.0) > 0.0:
            worst = int(np.argmax(over))
            return [
                f"end: {motion.joint_names[worst]} has {what} {last[worst]:.4g} {unit} at the last point; expected 0"
            ]
    return []


def _consistency(part: Part, jerk: float) -> list[str]:
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
        ("velocities", "positions", np.abs(moved), 0.033 * jerk * h**3 + SLACK),
        ("accelerations", "velocities", np.abs(sped), 0.25 * jerk * h**2 + SLACK),
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


def _limits(part: Part, from_rest: bool) -> list[str]:
    motion, limits = part.motion, part.limits
    if len(motion.times) == 1:
        return _position(part, motion.positions[None], motion.times[None])
    dense = densify(motion.times, motion.positions, motion.velocities, motion.accelerations)
    reasons = _position(part, dense.positions, dense.times)
    jerks = np.array(dense.jerks)
    if from_rest:
        lead_in = _lead_in(motion, limits)
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


def _lead_in(motion: JointTrajectory, limits: JointLimits) -> np.ndarray:
    """Return the least jerk (J,) that leads from rest to the first point's speed and acceleration."""
    t, v, a = motion.times[0], motion.velocities[0], motion.accelerations[0]
    reached = np.where(np.abs(v) <= limits.acceleration * t * (1.0 + SLACK), v, 0.0)  # else the rule of the start
    return np.where(np.abs(a) * t > 2.0 * np.abs(reached), a / t, 2.0 * reached / t**2)


def _position(part: Part, positions: np.ndarray, times: np.ndarray) -> list[str]:
    over = np.maximum(part.limits.lower - positions, positions - part.limits.upper)
    segment, sample, joint = np.unravel_index(int(np.argmax(over)), over.shape)
    if over[segment, sample, joint] <= SLACK:
        return []
    return [
        f"position: {part.motion.joint_names[joint]} reaches {positions[segment, sample, joint]:.4f} rad "
        f"at {times[segment, sample]:.2f} s; "
        f"limits [{part.limits.lower[joint]:.4f}, {part.limits.upper[joint]:.4f}]"
    ]
