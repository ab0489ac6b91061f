"""The stop: from any instant of a running trajectory to rest, on the way that was checked.

A stop that leaves the planned path would need a collision check of its own, at the worst moment. So the
path is kept and time is slowed down: the plan's clock runs at rate 1 until a point of the plan, then its
rate falls to 0 with constant jerk. The earliest rest within the limits is taken. Where none is earlier than
the rest that the plan itself comes to, the plan is followed to there: it is always a way out.

Index legend: T points of the plan, K points of the stop, J joints of arm and hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from maskdex_core.errors import RobotError
from maskdex_core.motion.interpolation import densify, motion_at
from maskdex_core.motion.types import JointLimits, JointTrajectory, RobotTrajectory

SLACK = 1e-7
"""share of a limit that rounding may add, below what the verdict grants"""
SOON = 1e-3
"""s; a point of the plan that is nearer than this counts as reached"""
STILL = 1e-9
"""rad/s and rad/s^2 below which a point of the plan is rest"""


@dataclass(frozen=True)
class _Motion:
    """times (T,) s; positions, velocities, accelerations (T, J) of arm and hand together."""

    times: np.ndarray
    positions: np.ndarray
    velocities: np.ndarray
    accelerations: np.ndarray

    def __getitem__(self, rows: slice) -> _Motion:
        return _Motion(self.times[rows], self.positions[rows], self.velocities[rows], self.accelerations[rows])

    def then(self, other: _Motion) -> _Motion:
        """Return this motion followed by another."""
        pairs = ((getattr(self, key), getattr(other, key)) for key in _KEYS)
        return _Motion(*(np.concatenate(pair) for pair in pairs))


_KEYS = ("times", "positions", "velocities", "accelerations")


def stop_trajectory(
    trajectory: RobotTrajectory, at: float, arm_limits: JointLimits, hand_limits: JointLimits
) -> RobotTrajectory:
    """Return the quickest stop on the planned path, for controllers to run instead of what is left.

    Args:
        trajectory: a plan that passed the verdict and has been running for `at` s.
        at: s since its start, at least 0.
        arm_limits, hand_limits: of the trajectory's joints, in its order; the stop may use all of them,
            whatever share the plan uses.

    Returns:
        Points at times > 0 from now, about as far apart as the plan's; the last is at rest. Its one phase is
        the plan's phase at `at`. After the plan's end: one point that stays there.

    Raises:
        RobotError: for an instant that is no number from 0 on, or limits of other joints.
    """
    _check(trajectory, at, arm_limits, hand_limits)
    plan, limits = _from_rest(trajectory), arm_limits.joined(hand_limits)
    reached = int(np.searchsorted(plan.times, at + SOON, side="right")) - 1
    if reached == len(plan.times) - 1:
        last = plan[-1:]
        return _split(replace(last, times=last.times - plan.times[-2]), trajectory, trajectory.duration)
    now = max(at, float(plan.times[reached]))
    rest = _next_rest(plan, reached)
    stop = plan[reached + 1 : rest + 1]
    for begin, end in _brakes(plan, reached + 1, rest, limits):
        braking = _braked(plan, begin, end)
        if _keeps_limits(braking, limits):
            stop = plan[reached + 1 : begin].then(braking)
            break
    return _split(replace(stop, times=stop.times - now), trajectory, now)


def _check(trajectory: RobotTrajectory, at: float, arm_limits: JointLimits, hand_limits: JointLimits) -> None:
    if not (np.isfinite(at) and at >= 0.0):
        raise RobotError(f"stop: {at} s since the start of motion; expected a number from 0 on")
    for what, motion, limits in (("arm", trajectory.arm, arm_limits), ("hand", trajectory.hand, hand_limits)):
        if motion.joint_names != limits.names:
            raise RobotError(
                f"stop: {what} trajectory has joints {', '.join(motion.joint_names)}; "
                f"the limits are of {', '.join(limits.names)}"
            )


def _from_rest(trajectory: RobotTrajectory) -> _Motion:
    """Return arm and hand as one motion, with the rest before the first point as its time 0."""
    arm, hand = trajectory.arm, trajectory.hand
    parts = (np.concatenate([getattr(arm, key), getattr(hand, key)], axis=1) for key in _KEYS[1:])
    motion = _Motion(arm.times, *parts)
    h, v, a = motion.times[0], motion.velocities[:1], motion.accelerations[:1]
    still = np.zeros_like(v)
    # exact for constant jerk, as the verdict's rule of consistency
    begin = motion.positions[:1] - h / 2.0 * v + h**2 / 12.0 * a
    return _Motion(np.zeros(1), begin, still, still).then(motion)


def _next_rest(plan: _Motion, reached: int) -> int:
    """Return the index of the first point after `reached` where the plan itself rests."""
    moving = np.maximum(np.abs(plan.velocities).max(axis=1), np.abs(plan.accelerations).max(axis=1)) > STILL
    rests = np.flatnonzero(~moving[reached + 1 :])
    return reached + 1 + int(rests[0]) if len(rests) else len(plan.times) - 1


def _brakes(plan: _Motion, first: int, rest: int, limits: JointLimits) -> Iterator[tuple[int, int]]:
    """Yield points of the plan at whose times braking may begin and end: the earliest ends first."""
    least = (np.abs(plan.velocities[: rest + 1]) / limits.acceleration).max(axis=1)  # s that any brake takes
    for end in range(first + 2, rest):
        spans = plan.times[end] - plan.times[first : end - 1]
        yield from ((first + int(row), end) for row in np.flatnonzero(spans >= least[first : end - 1]))


def _braked(plan: _Motion, begin: int, end: int) -> _Motion:
    """Slow the plan's clock from rate 1 to 0 with constant jerk; the first point is the plan's own."""
    duration = plan.times[end] - plan.times[begin]
    u = np.arange(end - begin + 1) / (end - begin)
    early = u <= 0.5
    rate = np.where(early, 1.0 - 2.0 * u**2, 2.0 * (1.0 - u) ** 2)
    slowing = np.where(early, -4.0 * u, -4.0 * (1.0 - u)) / duration
    passed = duration * np.where(early, u - 2.0 * u**3 / 3.0, 0.5 - 2.0 * (1.0 - u) ** 3 / 3.0)
    start = plan.times[begin]
    positions, velocities, accelerations = motion_at(
        plan.times, plan.positions, plan.velocities, plan.accelerations, start + passed
    )
    rate, slowing = rate[:, None], slowing[:, None]
    accelerations = accelerations * rate**2 + velocities * slowing
    return _Motion(start + u * duration, positions, velocities * rate, accelerations)


def _keeps_limits(motion: _Motion, limits: JointLimits) -> bool:
    dense = densify(motion.times, motion.positions, motion.velocities, motion.accelerations)
    rates = (limits.velocity, limits.acceleration, limits.jerk)
    return all(
        bool((np.abs(part) <= rate * (1.0 + SLACK)).all())
        for part, rate in zip((dense.velocities, dense.accelerations, dense.jerks), rates, strict=True)
    )


def _split(motion: _Motion, trajectory: RobotTrajectory, at: float) -> RobotTrajectory:
    """Return a motion of arm and hand as a trajectory in the phase that ran."""
    count = len(trajectory.arm.joint_names)
    arm, hand = (
        JointTrajectory(names, motion.times, *(getattr(motion, key)[:, part] for key in _KEYS[1:]))
        for names, part in (
            (trajectory.arm.joint_names, slice(0, count)),
            (trajectory.hand.joint_names, slice(count, None)),
        )
    )
    running = [name for name, (begin, end) in trajectory.phases.items() if begin <= at < end]
    phases = {name: (0.0, float(motion.times[-1])) for name in running[:1]}
    return RobotTrajectory(arm, hand, phases)
