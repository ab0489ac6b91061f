"""`maskdex ros-env`: what a shell needs before ROS 2 tools find the node."""

from __future__ import annotations

import dataclasses

from maskdex_core.cli.common import Command
from maskdex_core.cli.ros_process import run_ros


@dataclasses.dataclass(frozen=True, kw_only=True)
class RosEnv(Command):
    """Print the lines of sh that let ROS 2 tools find the node: eval "$(maskdex ros-env)"."""

    def run(self) -> int:
        """Print them."""
        return run_ros("maskdex_ros.environment", (), {})
