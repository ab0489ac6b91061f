"""One joint_trajectory_controller in simulation: what it refuses, and where its joints should be at any time.

Rules and interpolation as in ros2_controllers (Jazzy): a trajectory names every joint once, in any order; times
increase strictly; it ends at rest and not in the past; a new one replaces the old at once, from the present goal.
Points with velocities and accelerations are joined by quintics, with velocities alone by cubics, else by lines.

Index legend: T points, J joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from maskdex_core.errors import RobotError

REST = float(np.finfo(np.float32).eps)  # rad/s


class TrajectoryRefused(RobotError):
    """A trajectory that a joint_trajectory_controller does not accept."""


@dataclass(frozen=True)
class PointTrajectory:
    """A trajectory as it arrives, nothing checked: `velocities` and `accelerations` may be empty.

    Attributes:
        joint_names: as named by the sender. times: (T,) s from `start`.
        positions, velocities, accelerations: T rows of numbers. has_effort: whether a point names efforts.
        start: s on the controller's clock; None for the moment of arrival.
    """

    joint_names: Sequence[str]
    times: Sequence[float]
    positions: Sequence[Sequence[float]]
    velocities: Sequence[Sequence[float]] = ()
    accelerations: Sequence[Sequence[float]] = ()
    has_effort: bool = False
    start: float | None = None


class TrajectoryController:
    """Holds its joints where they are until a trajectory comes."""

    def __init__(self, joint_names: Sequence[str], positions: np.ndarray) -> None:
        """Control the joints (J,), which stand at `positions` (J,) rad."""
        self.joint_names = tuple(joint_names)
        self._times = np.zeros(1)
        self._points = np.zeros((3, 1, len(self.joint_names)))  # position, velocity, acceleration
        self._points[0, 0] = positions
        self._degree = 1

    def accept(self, trajectory: PointTrajectory, now: float) -> None:
        """Take a trajectory over at `now` (s).

        Raises:
            TrajectoryRefused: when a joint_trajectory_controller would; the old one goes on.
        """
        check_trajectory_message(trajectory, self.joint_names, now)
        order = [list(trajectory.joint_names).index(name) for name in self.joint_names]
        count = len(trajectory.times)
        start = now if trajectory.start is None else trajectory.start
        points = np.zeros((3, count + 1, len(self.joint_names)))
        points[0, 0], points[1, 0] = self.sample(now)
        for level, rows in enumerate((trajectory.positions, trajectory.velocities, trajectory.accelerations)):
            if len(rows):
                points[level, 1:] = np.asarray(rows, float)[:, order]
        self._degree = 5 if len(trajectory.accelerations) else 3 if len(trajectory.velocities) else 1
        times = np.concatenate([[now], start + np.asarray(trajectory.times, float)])
        later = np.concatenate([[True], times[1:] > now])  # points of the past are left out
        self._times, self._points = times[later], points[:, later]

    @property
    def end(self) -> float:
        """When the last point is due, s."""
        return float(self._times[-1])

    def sample(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Return positions (J,) rad and velocities (J,) rad/s at a time (s)."""
        index = int(np.searchsorted(self._times, time, side="right"))
        if index == 0:
            return self._points[0, 0], np.zeros(len(self.joint_names))
        if index == len(self._times):
            return self._points[0, -1], np.zeros(len(self.joint_names))
        span = self._times[index] - self._times[index - 1]
        return _between(
            self._points[:, index - 1], self._points[:, index], span, time - self._times[index - 1], self._degree
        )


def check_trajectory_message(trajectory: PointTrajectory, joint_names: Sequence[str], now: float) -> None:
    """Check one trajectory as a joint_trajectory_controller of these joints does.

    Raises:
        TrajectoryRefused: with the first reason why it would not be run.
    """
    names, count = list(trajectory.joint_names), len(trajectory.times)
    if not names:
        raise TrajectoryRefused("the trajectory names no joint")
    if sorted(names) != sorted(joint_names):
        raise TrajectoryRefused(f"the trajectory has joints {', '.join(names)}; expected {', '.join(joint_names)}")
    if count == 0:
        raise TrajectoryRefused("the trajectory has no points")
    if trajectory.has_effort:
        raise TrajectoryRefused("the trajectory names efforts; only positions are commanded")
    _check_rows(trajectory, count)
    steps = np.diff(np.asarray(trajectory.times, float))
    if len(steps) and steps.min() <= 0:
        row = int(np.argmax(steps <= 0))
        raise TrajectoryRefused(
            f"times do not increase: point {row + 1} at {trajectory.times[row + 1]:g} s follows "
            f"{trajectory.times[row]:g} s"
        )
    if len(trajectory.velocities):
        last = np.abs(np.asarray(trajectory.velocities[-1], float))
        if last.max() > REST:
            joint = names[int(last.argmax())]
            raise TrajectoryRefused(f"{joint} still moves at the last point ({last.max():.3g} rad/s); expected 0")
    if trajectory.start is not None and trajectory.start + trajectory.times[-1] < now:
        raise TrajectoryRefused("the trajectory ends in the past")


def _check_rows(trajectory: PointTrajectory, count: int) -> None:
    joints = len(trajectory.joint_names)
    parts = {"positions": trajectory.positions, "velocities": trajectory.velocities}
    parts["accelerations"] = trajectory.accelerations
    for what, rows in parts.items():
        if what != "positions" and len(rows) == 0:
            continue
        if len(rows) != count or any(len(row) != joints for row in rows):
            found = next((len(row) for row in rows if len(row) != joints), len(rows))
            raise TrajectoryRefused(f"{what} are not {count} points of {joints} joints (found {found})")
        if not np.isfinite(np.asarray(rows, float)).all():
            raise TrajectoryRefused(f"{what} hold a number that is not finite")
    if not np.isfinite(np.asarray(trajectory.times, float)).all():
        raise TrajectoryRefused("times hold a number that is not finite")


def _between(
    start: np.ndarray, end: np.ndarray, span: float, time: float, degree: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return position and velocity (J,) at `time` of a segment of `span` s between two points (3, J)."""
    u = time / span
    q0, v0, a0 = start[0], start[1] * span, start[2] * span**2
    q1, v1, a1 = end[0], end[1] * span, end[2] * span**2
    move = q1 - q0
    if degree == 1:
        return q0 + u * move, move / span
    if degree == 3:
        c2, c3 = 3 * move - 2 * v0 - v1, v0 + v1 - 2 * move
        return q0 + u * (v0 + u * (c2 + u * c3)), (v0 + u * (2 * c2 + 3 * u * c3)) / span
    c2 = a0 / 2
    rest, speed, bend = move - v0 - c2, v1 - v0 - a0, a1 - a0
    c3, c4, c5 = 10 * rest - 4 * speed + bend / 2, -15 * rest + 7 * speed - bend, 6 * rest - 3 * speed + bend / 2
    position = q0 + u * (v0 + u * (c2 + u * (c3 + u * (c4 + u * c5))))
    return position, (v0 + u * (2 * c2 + u * (3 * c3 + u * (4 * c4 + 5 * u * c5)))) / span
