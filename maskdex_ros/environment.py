"""The environment that a child process needs to speak ROS 2, with the distro's rclpy or the PyPI wheels.

The wheels start Python a second time to set `LD_LIBRARY_PATH`, and mark that with
`_ROS_WHEELS_BOOTSTRAP_COMPLETE`. A child that inherits the mark without the path cannot load
rclpy; one that has both, or neither, can.

`python -m maskdex_ros.environment`, which is `maskdex ros-env`, prints the same for a person's shell.
"""

from __future__ import annotations

import importlib.util
import os
import random
import shlex
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from maskdex_core.errors import ConfigError
from maskdex_core.resources import package_share, resource_path

WHEELS_MARK = "_ROS_WHEELS_BOOTSTRAP_COMPLETE"
# These distributions read FASTRTPS_DEFAULT_PROFILES_FILE; later ones warn about it.
FAST_DDS_2 = ("humble", "iron", "jazzy")
PROFILE = Path("config") / "fastdds_shm.xml"
# Domains above 101 put their ports inside Linux's ephemeral range (ROS 2 documentation, "The ROS_DOMAIN_ID").
DOMAIN_IDS = range(1, 102)
PACKAGE = "maskdex_ros"
PACKAGE_MARK = Path("share/ament_index/resource_index/packages") / PACKAGE


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
    environment.setdefault(profile_variable(environment), str(resource_path(PROFILE)))
    if domain_id is not None:
        environment["ROS_DOMAIN_ID"] = str(domain_id)
    return environment


def shell_lines(base: Mapping[str, str] | None = None) -> list[str]:
    """Return the lines of sh that make a person's shell ready for the node; `eval` takes them.

    Everywhere: the Fast DDS profile. With the wheels also what a ROS distribution's setup file and colcon
    would have done: the ament prefix, and where it is missing this package's entry in the ament index, its
    share folder, and the folder `lib/maskdex_ros` in which launch looks for executables.

    Args:
        base: the variables of that shell; None takes this process's own.

    Raises:
        ConfigError: when the shipped Fast DDS profile is missing.
    """
    before = dict(os.environ if base is None else base)
    after = ros_environment(base=before)
    lines = []
    if wheels_installed():
        lines += [*_index_lines(Path(sys.prefix)), *_export(after, "AMENT_PREFIX_PATH")]
    return [*lines, *_export(after, profile_variable(before))]


def profile_variable(environment: Mapping[str, str]) -> str:
    """Return the variable in which the distribution's Fast DDS looks for its profile."""
    older = environment.get("ROS_DISTRO") in FAST_DDS_2
    return f"{'FASTRTPS' if older else 'FASTDDS'}_DEFAULT_PROFILES_FILE"


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


def _index_lines(prefix: Path) -> list[str]:
    """Return what makes `ament_index` and launch find this package under a prefix; nothing where they do."""
    lines = []
    if not (prefix / PACKAGE_MARK).exists():
        mark = prefix / PACKAGE_MARK
        lines.append(f"mkdir -p {shlex.quote(str(mark.parent))} && touch {shlex.quote(str(mark))}")
    links = {prefix / "share" / PACKAGE: package_share(), prefix / "lib" / PACKAGE: prefix / "bin"}
    for link, target in links.items():
        if not link.exists():
            lines.append(f"ln -sfn {shlex.quote(str(target))} {shlex.quote(str(link))}")
    return lines


def _export(environment: Mapping[str, str], name: str) -> list[str]:
    return [f"export {name}={shlex.quote(environment[name])}"]


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


def main() -> int:
    """Print the lines for a shell; return the exit code."""
    try:
        lines = shell_lines()
    except ConfigError as error:
        sys.stderr.write(f"maskdex: {error}\n")
        return error.exit_code
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
