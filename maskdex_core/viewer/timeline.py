"""Where the robot of a saved plan is at a given time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskdex_core.errors import UsageError
from maskdex_core.planning.saved import SavedPlan


@dataclass(frozen=True, eq=False)
class Timeline:
    """Joint positions over time, or one standing pose.

    Attributes:
        arm_times: (T,) s. arm: (T, J) rad. hand_times, hand: likewise.
        grasp_time: s at which the hand has closed. duration: s.
    """

    arm_times: NDArray[np.float64]
    arm: NDArray[np.float64]
    hand_times: NDArray[np.float64]
    hand: NDArray[np.float64]
    grasp_time: float
    duration: float

    @staticmethod
    def of(plan: SavedPlan) -> Timeline:
        """Read a plan's trajectory; without one the robot stands where it stood.

        Raises:
            UsageError: when the report's trajectory has another form.
        """
        trajectory = plan.report.get("trajectory")
        if not trajectory:
            now = np.zeros(1)
            return Timeline(now, plan.arm_start[None], now, plan.hand_start[None], 0.0, 0.0)
        try:
            arm_times, arm = _part(trajectory["arm"], plan.arm_start)
            hand_times, hand = _part(trajectory["hand"], plan.hand_start)
            grasp_time = float(trajectory["phases"]["close"][1])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise UsageError(f"the trajectory in the report cannot be read ({error!r})") from error
        return Timeline(arm_times, arm, hand_times, hand, grasp_time, float(max(arm_times[-1], hand_times[-1])))

    def at(self, time: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the joint positions of arm and hand (rad) at a time (s)."""
        return _interpolated(time, self.arm_times, self.arm), _interpolated(time, self.hand_times, self.hand)


def _part(part: dict[str, Any], start: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    times, positions = np.asarray(part["times"], np.float64), np.asarray(part["positions"], np.float64)
    if positions.shape != (len(times), len(start)):
        raise ValueError(f"positions of shape {positions.shape}; expected {(len(times), len(start))}")
    if times[0] > 0.0:
        times, positions = np.concatenate(([0.0], times)), np.concatenate((start[None], positions))
    return times, positions


def _interpolated(time: float, times: NDArray[np.float64], positions: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([np.interp(time, times, column) for column in positions.T])
