"""The robot's present joints, merged by name from any number of publishers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from maskdex_core.errors import RobotError

MAX_JOINTS = 1000  # names kept; a robot has tens, and whoever sends more must not fill the memory


class JointStateStore:
    """Newest position of every joint heard of, with the time it arrived; at most `MAX_JOINTS`, the first ones."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start empty; `clock` returns seconds."""
        self._clock = clock
        self._positions: dict[str, tuple[float, float]] = {}

    @property
    def empty(self) -> bool:
        """Whether no joint was ever heard of."""
        return not self._positions

    def update(self, message: Any) -> None:
        """Merge one sensor_msgs/JointState; positions that are not finite are left out."""
        now = self._clock()
        for name, position in zip(message.name, message.position, strict=False):
            known = name in self._positions or len(self._positions) < MAX_JOINTS
            if known and math.isfinite(position):
                self._positions[name] = (float(position), now)

    def positions(self, names: Sequence[str], max_age: float) -> dict[str, float]:
        """Return the present positions (rad) of the named joints.

        Raises:
            RobotError: when a joint was never heard of or its position is older than `max_age` (s).
        """
        if self.empty:
            raise RobotError("no joint_states received yet: a plan needs the robot's present position")
        missing = [name for name in names if name not in self._positions]
        if missing:
            heard = ", ".join(sorted(self._positions))
            raise RobotError(f"joint_states lack {', '.join(missing)}; received: {heard}")
        now = self._clock()
        ages = {name: now - self._positions[name][1] for name in names}
        oldest = max(ages, key=lambda name: ages[name], default=None)
        if oldest is not None and ages[oldest] > max_age:
            raise RobotError(f"the joint state of {oldest} is {ages[oldest]:.1f} s old; at most {max_age} s is valid")
        return {name: self._positions[name][0] for name in names}
