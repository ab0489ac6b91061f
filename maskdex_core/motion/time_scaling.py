"""Time for a joint path: as fast as velocity, acceleration and jerk limits allow, at rest at both ends.

A path q(s), s from 0 to 1, is followed with an s(t) that ruckig makes for one degree of freedom, so all
joints stay on the path and stop together. Then the motion is sampled on a grid of exactly `dt`, and time
is stretched until the limits hold on what the controller will interpolate between the samples.

Index legend: T samples, J joints, N waypoints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from maskdex_core.errors import PlanRejected, RobotError
from maskdex_core.motion.interpolation import densify
from maskdex_core.motion.types import JointLimits

STILL = 1e-9
"""rad; a path shorter than this in every joint is no motion"""
HEADROOM = 0.995
"""share of each limit that a path may use, so that rounding never crosses one"""

PathDerivatives = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]
"""s (M,) → q, dq/ds, d2q/ds2, d3q/ds3, each (M, J)"""


@dataclass(frozen=True)
class TimedPath:
    """Motion on a uniform grid that starts at t = 0: times (T,) s; the rest (T, J) rad, rad/s, rad/s^2."""

    times: np.ndarray
    positions: np.ndarray
    velocities: np.ndarray
    accelerations: np.ndarray

    @property
    def duration(self) -> float:
        """Time of the last sample, s."""
        return float(self.times[-1])


def time_point_to_point(
    start: np.ndarray,
    goal: np.ndarray,
    limits: JointLimits,
    speed_scale: float = 1.0,
    dt: float = 0.02,
) -> TimedPath:
    """Move all joints together on the straight line between two joint positions.

    Args:
        start, goal: (J,) rad, in the order of `limits`.
        speed_scale: share in (0, 1] of every velocity, acceleration and jerk limit to use.
        dt: s between samples.

    Raises:
        RobotError: for a speed scale or dt out of range, or positions that are not finite.
    """
    start, goal = np.asarray(start, dtype=np.float64), np.asarray(goal, dtype=np.float64)
    _check(speed_scale, dt, np.stack([start, goal]), limits)
    if np.abs(goal - start).max(initial=0.0) < STILL:
        return hold(goal, dt)
    way = goal - start

    def path(s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        flat = np.zeros((len(s), len(way)))
        return start + s[:, None] * way, flat + way, flat, flat

    return _timed(path, goal, limits, speed_scale, dt)


def time_along_path(
    waypoints: np.ndarray,
    limits: JointLimits,
    speed_scale: float = 1.0,
    dt: float = 0.02,
) -> TimedPath:
    """Follow waypoints that are equally far apart along the path, on a smooth spline through them.

    Args:
        waypoints: (N, J) rad, N at least 2.
        speed_scale, dt: as for `time_point_to_point`.

    Raises:
        RobotError: as `time_point_to_point`.
        PlanRejected: when the path bends so sharply that no stretch of time brings it within the limits.
    """
    from scipy.interpolate import make_interp_spline

    waypoints = np.asarray(waypoints, dtype=np.float64)
    _check(speed_scale, dt, waypoints, limits)
    if np.abs(waypoints - waypoints[0]).max(initial=0.0) < STILL:
        return hold(waypoints[-1], dt)
    # degree five keeps the third derivative, hence the jerk, continuous
    degree = min(5, len(waypoints) - 1)
    spline = make_interp_spline(np.linspace(0.0, 1.0, len(waypoints)), waypoints, k=degree)
    splines = [spline, *(spline.derivative(order) for order in (1, 2, 3) if order <= degree)]

    def path(s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        values = [np.asarray(part(s)) for part in splines]
        values += [np.zeros_like(values[0])] * (4 - len(values))
        return values[0], values[1], values[2], values[3]

    return _timed(path, waypoints[-1], limits, speed_scale, dt)


def hold(positions: np.ndarray, dt: float, steps: int = 1) -> TimedPath:
    """Stand still at positions (J,) rad for `steps` times `dt`."""
    still = np.zeros((steps + 1, len(positions)))
    return TimedPath(np.arange(steps + 1) * dt, still + positions, still, still)


def _check(speed_scale: float, dt: float, positions: np.ndarray, limits: JointLimits) -> None:
    if not 0.0 < speed_scale <= 1.0:
        raise RobotError(f"speed scale is {speed_scale}; expected a number above 0 and at most 1")
    if not (np.isfinite(dt) and dt > 0.0):
        raise RobotError(f"time step is {dt} s; expected a positive number")
    if positions.ndim != 2 or positions.shape[1] != len(limits.names) or len(positions) < 2:
        raise RobotError(f"path has shape {positions.shape}; expected (2 or more, {len(limits.names)})")
    if not np.isfinite(positions).all():
        bad = np.array(limits.names)[~np.isfinite(positions).all(axis=0)]
        raise RobotError(f"path of {', '.join(bad)} is not finite")


def _timed(path: PathDerivatives, goal: np.ndarray, limits: JointLimits, speed_scale: float, dt: float) -> TimedPath:
    rates = np.stack([limits.velocity, limits.acceleration, limits.jerk]) * (speed_scale * HEADROOM)  # (3, J)
    profile = _unit_profile(path, rates)
    steps = max(1, int(np.ceil(profile.duration / dt)))
    timed = _sampled(path, profile, goal, steps, dt)
    # the first guess may also be too slow: the profile's bounds on a bent path are cautious
    steps = max(1, int(np.ceil(steps * max(_needed_stretch(timed, rates), 0.4))))
    for _ in range(50):
        timed = _sampled(path, profile, goal, steps, dt)
        stretch = _needed_stretch(timed, rates)
        if stretch <= 1.0:
            return timed
        steps = max(steps + 1, int(np.ceil(steps * stretch)))
    raise PlanRejected(["time scaling did not reach the joint limits; the path bends too sharply"])


def _unit_profile(path: PathDerivatives, rates: np.ndarray) -> Any:
    """Return ruckig's time-optimal s(t) from 0 to 1, its three derivatives bounded to suit the path."""
    import ruckig

    _, first, second, third = (np.abs(part).max(axis=0) for part in path(np.linspace(0.0, 1.0, 201)))
    velocity, acceleration, jerk = rates
    bent = bool(second.max() > STILL or third.max() > STILL)
    share_a, share_j = (0.5, 1.0 / 3.0) if bent else (1.0, 1.0)
    # joint acceleration: q'' ds^2 + q' dds; joint jerk: q''' ds^3 + 3 q'' ds dds + q' ddds
    bounds_v = [velocity / np.maximum(first, STILL)]
    if bent:
        bounds_v.append(np.sqrt(share_a * acceleration / np.maximum(second, STILL)))
        bounds_v.append(np.cbrt(share_j * jerk / np.maximum(third, STILL)))
    request = ruckig.InputParameter(1)
    request.current_position, request.target_position = [0.0], [1.0]
    request.max_velocity = [float(np.min(bounds_v))]
    request.max_acceleration = [float(np.min(share_a * acceleration / np.maximum(first, STILL)))]
    request.max_jerk = [float(np.min(share_j * jerk / np.maximum(first, STILL)))]
    profile = ruckig.Trajectory(1)
    result = ruckig.Ruckig(1).calculate(request, profile)
    if result not in (ruckig.Result.Working, ruckig.Result.Finished):
        raise PlanRejected([f"time scaling failed: ruckig answered {result}"])
    return profile


def _sampled(path: PathDerivatives, profile: Any, goal: np.ndarray, steps: int, dt: float) -> TimedPath:
    """Sample the profile, stretched or shrunk to `steps` whole steps, on the grid."""
    slower = profile.duration / (steps * dt)
    instants = np.arange(steps + 1) * (profile.duration / steps)
    samples = np.array([[part[0] for part in profile.at_time(float(t))[:3]] for t in instants])  # (T, 3)
    s, ds, dds = np.clip(samples[:, 0], 0.0, 1.0), samples[:, 1:2] * slower, samples[:, 2:3] * slower**2
    positions, first, second, _ = path(s)
    velocities, accelerations = first * ds, second * ds**2 + first * dds
    positions[-1] = goal
    for end in (0, -1):
        velocities[end] = accelerations[end] = 0.0
    return TimedPath(np.arange(steps + 1) * dt, positions, velocities, accelerations)


def _needed_stretch(timed: TimedPath, rates: np.ndarray) -> float:
    """Return by how much time has to be stretched for the tightest limit to be met exactly."""
    dense = densify(timed.times, timed.positions, timed.velocities, timed.accelerations)
    parts = (dense.velocities, dense.accelerations, dense.jerks)
    ratios = [np.max(np.abs(part).max(axis=(0, 1)) / rate) for part, rate in zip(parts, rates, strict=True)]
    return float(max(ratio ** (1.0 / order) for order, ratio in enumerate(ratios, start=1)))
