"""`python -m maskdex_ros.reference`: write every generated file into the checkout; `--check` only names stale ones."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from maskdex_core.errors import MaskdexError
from maskdex_core.resources import package_share
from maskdex_ros.reference.interface import output_choices
from maskdex_ros.reference.interface_page import interface_page
from maskdex_ros.reference.parameter_pages import parameter_page, parameter_yaml
from maskdex_ros.reference.security_policy import security_policy

MOVEIT = "config/moveit"
# As grasp.launch.py remaps them where its arguments are not given.
LAUNCHED_AS = {
    "points": "/camera/camera/depth/color/points",
    **{
        f"{part}_controller/{way}": f"/{controller}/{way}"
        for part, controller in (("arm", "xarm7_traj_controller"), ("hand", "freedom_hand_controller"))
        for way in ("joint_trajectory", "follow_joint_trajectory")
    },
}


def text_files() -> dict[str, str]:
    """Return path → text of the pages, the parameter YAML and the policies."""
    policies = {f"config/sros2/maskdex_{output}.policy.xml": output for output in output_choices()}
    return {
        "docs/parameters.md": parameter_page(),
        "docs/ros_interface.md": interface_page(),
        "config/grasp_node.yaml": parameter_yaml(),
        **{path: security_policy(output, LAUNCHED_AS) for path, output in policies.items()},
    }


def robot_files(arm_name: str, hand_name: str) -> dict[str, str]:
    """Return path → text of the MoveIt and ros2_control files of one arm with one hand.

    Raises:
        MaskdexError: when either is unknown or inconsistent.
    """
    from maskdex_core.hands.model import HandModel
    from maskdex_core.motion.arm import Arm
    from maskdex_ros.reference.moveit import moveit_files

    folder = f"{MOVEIT}/{arm_name}_{hand_name}"
    files = moveit_files(Arm.load(arm_name), HandModel.load(hand_name))
    return {f"{folder}/{name}": text for name, text in files.items()}


def all_files() -> dict[str, str]:
    """Return path → text of everything that is written, relative to the checkout."""
    from maskdex_core.hands.spec import known_hands
    from maskdex_ros.parameters import NodeParameters

    files = text_files()
    for hand in known_hands():
        files |= robot_files(NodeParameters.arm, hand)
    return files


def stale(files: dict[str, str], root: Path) -> list[str]:
    """Return the paths whose file under `root` is missing or says something else."""
    return [path for path, text in files.items() if not _says(root / path, text)]


def orphans(files: dict[str, str], root: Path) -> list[str]:
    """Return the folders of robots under `root` that nothing is written for any more."""
    written = {str(Path(path).parent) for path in files}
    found = sorted(path for path in (root / MOVEIT).iterdir() if path.is_dir())
    return [str(path.relative_to(root)) for path in found if str(path.relative_to(root)) not in written]


def _says(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check; return 0, or 1 where a check found something stale."""
    parser = argparse.ArgumentParser(prog="python -m maskdex_ros.reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when a file is stale")
    check = parser.parse_args(arguments).check
    try:
        root, files = package_share(), all_files()
    except MaskdexError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    changed = stale(files, root)
    for path in changed:
        sys.stdout.write(f"{'stale' if check else 'written'}: {path}\n")
        if not check:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(files[path], encoding="utf-8")
    unused = orphans(files, root)
    sys.stdout.writelines(f"no longer written: {path}\n" for path in unused)
    return int(check and bool(changed or unused))


if __name__ == "__main__":
    sys.exit(main())
