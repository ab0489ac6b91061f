"""The environment that a child process needs to speak ROS 2, with the distro's rclpy or the PyPI wheels.

The wheels start Python a second time to set `LD_LIBRARY_PATH`, and mark that with
`_ROS_WHEELS_BOOTSTRAP_COMPLETE`. A child that inherits the mark without the path cannot load
rclpy; one that has both, or neither, can.
"""

from __future__ import annotations

import importlib.util
import os
import random
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from maskdex_core.errors import ConfigError
from maskdex_core.resources import resource_path

WHEELS_MARK = "_ROS_WHEELS_BOOTSTRAP_COMPLETE"
# These distributions read FASTRTPS_DEFAULT_PROFILES_FILE; later ones warn about it.
FAST_DDS_2 = ("humble", "iron", "jazzy")
PROFILE = Path("config") / "fastdds_shm.xml"
# Domains above 101 put their ports inside Linux's ephemeral range (ROS 2 documentation, "The ROS_DOMAIN_ID").
DOMAIN_IDS = range(1, 102)


def ros_environment(domain_id: int | None = None, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment variables for a child process that uses rclpy on this machine only.

    Args:
        domain_id: ROS_DOMAIN_ID of the child; None keeps the inherited one.
        base: variables to start from; None takes this process's own.

    Raises:
        ConfigError: when the shipped Fast DDS profile is missing.
    """
    environment = dict(os.environ if base is None else base)
    if wheels_installed():
        _keep_wheel_variables_together(environment)
        _prepend(environment, "AMENT_PREFIX_PATH", sys.prefix)
    environment.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    profile = str(resource_path(PROFILE))
    older = environment.get("ROS_DISTRO") in FAST_DDS_2
    environment.setdefault(f"{'FASTRTPS' if older else 'FASTDDS'}_DEFAULT_PROFILES_FILE", profile)
    if domain_id is not None:
        environment["ROS_DOMAIN_ID"] = str(domain_id)
    return environment


def wheels_installed() -> bool:
    """Return whether rclpy comes from the PyPI wheels rather than from a ROS distribution."""
    return importlib.util.find_spec("ros_wheels_bootstrapper") is not None


def free_domain_id() -> int:
    """Return a ROS_DOMAIN_ID that no participant on this machine uses now.

    Raises:
        ConfigError: when all of them are in use.
    """
    for domain_id in random.sample(DOMAIN_IDS, len(DOMAIN_IDS)):
        if _unicast_port_is_free(domain_id):
            return domain_id
    raise ConfigError(f"ROS_DOMAIN_ID: all of {DOMAIN_IDS[0]}..{DOMAIN_IDS[-1]} are in use on this machine")


def _unicast_port_is_free(domain_id: int) -> bool:
    # The first participant of a domain binds this metatraffic port (DDSI-RTPS 2.3, section 9.6.1.1).
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("0.0.0.0", 7400 + 250 * domain_id + 10))
        except OSError:
            return False
    return True


def _keep_wheel_variables_together(environment: dict[str, str]) -> None:
    library_path = environment.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    if str(Path(sys.prefix) / "lib") not in library_path:
        environment.pop(WHEELS_MARK, None)


def _prepend(environment: dict[str, str], name: str, folder: str) -> None:
    folders = [part for part in environment.get(name, "").split(os.pathsep) if part and part != folder]
    environment[name] = os.pathsep.join([folder, *folders])
