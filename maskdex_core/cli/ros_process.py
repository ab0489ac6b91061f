"""Commands of the ROS half: processes of their own, because the ROS wheels start Python a second time."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Mapping, Sequence

from maskdex_core.errors import ConfigError

NO_ROS = (
    "rclpy is not installed: source a ROS 2 distribution, or install the wheels with "
    "`pip install 'maskdex_ros[ros]'` on Python 3.11 or 3.12"
)
ENDING = 15.0  # s that an interrupted process gets to end its own children


def run_ros(module: str, positional: Sequence[object], options: Mapping[str, object | None]) -> int:
    """Run `python -m module` and return its exit code.

    Args:
        module: such as `maskdex_ros.replay`.
        positional: arguments. options: name → value; those that are None are left out.

    Raises:
        ConfigError: when there is no rclpy on this machine.
    """
    if importlib.util.find_spec("rclpy") is None or importlib.util.find_spec("maskdex_ros") is None:
        raise ConfigError(NO_ROS)
    command = [sys.executable, "-m", module, *map(str, positional)]
    command += [f"--{name}={value}" for name, value in options.items() if value is not None]
    child = subprocess.Popen(command)
    try:
        return child.wait()
    except KeyboardInterrupt:  # the terminal sent it to the child too
        try:
            child.wait(ENDING)
        except subprocess.TimeoutExpired:
            child.kill()
        raise
