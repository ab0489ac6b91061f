"""The URDF of arm and hand as robot_state_publisher, ros2_control and MoveIt get it.

Launch loads this in ROS' own Python: nothing here needs torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from maskdex_core.resources import resource_path

if TYPE_CHECKING:
    from xml.dom.minidom import Document

XACRO = "urdf/xarm7_with_hand.urdf.xacro"


def robot_description(hand: str, ros2_control: str = "none") -> str:
    """Return the URDF of the xArm7 with a shipped hand, all joints that move together as mimic joints.

    Args:
        hand: a name in config/hands. ros2_control: none, or mock for mock hardware.
    """
    import xacro

    document = xacro.process_file(str(resource_path(XACRO)), mappings={"hand": hand, "ros2_control": ros2_control})
    spec = yaml.safe_load(resource_path(f"config/hands/{hand}.yaml").read_text(encoding="utf-8"))
    add_couplings(document, spec.get("couplings", {}))
    return document.toprettyxml(indent="  ")


def add_couplings(document: Document, couplings: dict[str, dict[str, Any]]) -> None:
    """Write the couplings of a hand's YAML, joint → {joint, multiplier}, into its URDF, whose joints are free."""
    for joint in document.documentElement.getElementsByTagName("joint"):
        coupling = couplings.get(joint.getAttribute("name"))
        if coupling is not None and joint.hasAttribute("type"):  # joints of ros2_control have none
            mimic = document.createElement("mimic")
            mimic.setAttribute("joint", coupling["joint"])
            mimic.setAttribute("multiplier", str(coupling["multiplier"]))
            joint.appendChild(mimic)
