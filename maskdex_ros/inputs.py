"""What the node last heard: the cloud, the task text, the robot's joints."""

from __future__ import annotations

import time
from typing import Any

from maskdex_core.errors import CloudError, TextError
from maskdex_ros.joint_states import JointStateStore


class Inputs:
    """Latest message of every input; clouds are decoded only when a plan needs one."""

    def __init__(self) -> None:
        """Start with nothing heard."""
        self.joints = JointStateStore()
        self.clouds_received = 0
        self.joint_states_received = 0
        self.text: str | None = None
        self.cloud_lag = 0.0
        self._cloud: Any = None
        self._cloud_at = 0.0

    def take_cloud(self, message: Any, lag: float = 0.0) -> None:
        """Keep a sensor_msgs/PointCloud2 as the latest; `lag` is the time (s) from its stamp to its arrival."""
        self._cloud, self._cloud_at, self.cloud_lag = message, time.monotonic(), lag
        self.clouds_received += 1

    def take_joints(self, message: Any) -> None:
        """Merge a sensor_msgs/JointState."""
        self.joints.update(message)
        self.joint_states_received += 1

    def forget(self) -> None:
        """Drop cloud, text and joints; what was heard before a deactivation is not the present."""
        self._cloud, self.text = None, None
        self.joints = JointStateStore()

    @property
    def cloud_at(self) -> float:
        """When the latest cloud arrived, in the seconds of `time.monotonic`."""
        return self._cloud_at

    @property
    def cloud_age(self) -> float | None:
        """Seconds since the latest cloud arrived, or None."""
        return None if self._cloud is None else time.monotonic() - self._cloud_at

    def has_cloud(self, max_age: float) -> bool:
        """Return whether there is a cloud not older than `max_age` (s); 0 takes any."""
        age = self.cloud_age
        return age is not None and (max_age == 0 or age <= max_age)

    def cloud(self, max_age: float) -> Any:
        """Return the latest cloud message.

        Raises:
            CloudError: when none arrived or the latest is older than `max_age` (s; 0 takes any).
        """
        age = self.cloud_age
        if age is None:
            raise CloudError("no cloud received yet on 'points'")
        if not self.has_cloud(max_age):
            raise CloudError(f"the latest cloud on 'points' is {age:.1f} s old; at most {max_age} s is valid")
        return self._cloud

    def last_text(self) -> str:
        """Return the latest task text.

        Raises:
            TextError: when none arrived.
        """
        if self.text is None:
            raise TextError("no task text received yet; publish one on 'task_text'")
        return self.text
