"""The message for a joint_trajectory_controller, after a last look at its form.

The planner's safety verdict judges the motion. This module judges what a controller would reject or
misread: names, times, end velocity, numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from maskdex_core.errors import RobotError
from maskdex_ros.conversions import trajectory_message

if TYPE_CHECKING:
    from trajectory_msgs.msg import JointTrajectory

# The controller on Jazzy refuses an end velocity above float32's epsilon; rounding alone stays below it.
END_VELOCITY = 1e-7  # [rad/s]


def controller_message(trajectory: Any) -> JointTrajectory:
    """Return the message of one `JointTrajectory`; its point at time 0, the present position, is left out.

    Raises:
        RobotError: on a wrong shape, a number that is not finite, times that do not increase, or a
            robot that still moves at the end.
    """
    names = tuple(trajectory.joint_names)
    times = np.asarray(trajectory.times, dtype=np.float64)
    parts = [
        np.asarray(part, dtype=np.float64)
        for part in (trajectory.positions, trajectory.velocities, trajectory.accelerations)
    ]
    _check_form(names, times, parts)
    first = int(times[0] == 0.0)
    times, parts = times[first:], [part[first:] for part in parts]
    if len(times) == 0 or times[0] <= 0.0 or np.any(np.diff(np.round(times * 1e9)) <= 0):
        raise RobotError(f"trajectory of {names[0]}..: times must increase strictly from above 0 s")
    if np.abs(parts[1][-1]).max() > END_VELOCITY:
        fastest = names[int(np.abs(parts[1][-1]).argmax())]
        raise RobotError(f"trajectory ends while {fastest} still moves; the end velocity must be 0")
    # Exactly zero: the controller compares with its own epsilon.
    parts[1] = parts[1].copy()
    parts[1][-1] = 0.0
    return trajectory_message(names, times, *parts)


def _check_form(names: tuple[str, ...], times: Any, parts: list[Any]) -> None:
    if not names or len(set(names)) != len(names):
        raise RobotError(f"trajectory names {list(names)}: expected every joint once")
    if times.ndim != 1 or len(times) == 0:
        raise RobotError(f"trajectory of {names[0]}..: times have shape {times.shape}; expected (T,), T > 0")
    for part, label in zip(parts, ("positions", "velocities", "accelerations"), strict=True):
        if part.shape != (len(times), len(names)):
            expected = (len(times), len(names))
            raise RobotError(f"trajectory of {names[0]}..: {label} have shape {part.shape}; expected {expected}")
        if not np.isfinite(part).all():
            raise RobotError(f"trajectory of {names[0]}..: {label} hold a number that is not finite")
