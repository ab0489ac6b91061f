"""`config/moveit/<arm>_<hand>/`: what MoveIt and ros2_control need to know of one arm with one hand.

All of it follows from the arm's and the hand's own data, limits included; nothing is tuned here. Pairs of
links that MoveIt need not check are those that our own motion check leaves out: links that overlap by
design, near each other along a chain.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

import yaml

if TYPE_CHECKING:
    from maskdex_core.hands.model import HandModel
    from maskdex_core.motion.arm import Arm

HAND_GROUP = "hand"
UPDATE_RATE = 100  # [Hz] of ros2_control
DEFAULT_SCALING = 0.3  # share of the limits in plans of MoveIt's own, as the node's speed_scale
SRDF_HEAD = """\
<?xml version="1.0"?>
<!--
  {arm} with the hand {hand}: groups, poses and link pairs that overlap by design.
  Written by `make reference` from config/arms/{arm}.yaml, config/hands/{hand}.yaml and their URDFs.
-->
"""
YAML_HEAD = "# Written by `make reference` from config/arms/{arm}.yaml, config/hands/{hand}.yaml and their URDFs.\n"


def moveit_files(arm: Arm, hand: HandModel) -> dict[str, str]:
    """Return file name → text of everything in the folder of one arm with one hand."""
    name = {"arm": arm.config.name, "hand": hand.name}
    contents = {
        "initial_positions.yaml": {"initial_positions": _home(arm) | _open(hand)},
        "joint_limits.yaml": _joint_limits(arm, hand),
        "moveit_controllers.yaml": _moveit_controllers(arm, hand),
        "ros2_controllers.yaml": _ros2_controllers(arm, hand),
    }
    files = {file: YAML_HEAD.format(**name) + _yaml(content) for file, content in contents.items()}
    return {"robot.srdf": SRDF_HEAD.format(**name) + _srdf(arm, hand), **files}


def _controllers(arm: Arm, hand: HandModel) -> dict[str, list[str]]:
    return {arm.config.controller: list(arm.joint_names), hand.spec.controller: list(hand.joint_names)}


def _home(arm: Arm) -> dict[str, float]:
    return {name: _round(value) for name, value in zip(arm.joint_names, arm.home, strict=True)}


def _open(hand: HandModel) -> dict[str, float]:
    lower, upper = hand.lower.tolist(), hand.upper.tolist()
    nearest = [min(max(0.0, _round_up(low)), _round_down(high)) for low, high in zip(lower, upper, strict=True)]
    return dict(zip(hand.joint_names, nearest, strict=True))


# ---------------------------------------------------------------------- YAML
def _joint_limits(arm: Arm, hand: HandModel) -> dict[str, Any]:
    from maskdex_core.motion.hand import hand_limits

    joints = {}
    for limits in (arm.limits, hand_limits(hand)):
        for index, name in enumerate(limits.names):
            joints[name] = {
                "has_position_limits": True,
                "min_position": _round_up(limits.lower[index]),
                "max_position": _round_down(limits.upper[index]),
                "has_velocity_limits": True,
                "max_velocity": _round(limits.velocity[index]),
                "has_acceleration_limits": True,
                "max_acceleration": _round(limits.acceleration[index]),
                "has_jerk_limits": True,
                "max_jerk": _round(limits.jerk[index]),
            }
    scaling = {f"default_{kind}_scaling_factor": DEFAULT_SCALING for kind in ("velocity", "acceleration")}
    return {**scaling, "joint_limits": joints}


def _moveit_controllers(arm: Arm, hand: HandModel) -> dict[str, Any]:
    controllers = _controllers(arm, hand)
    action = {"type": "FollowJointTrajectory", "action_ns": "follow_joint_trajectory", "default": True}
    entries = {name: {**action, "joints": joints} for name, joints in controllers.items()}
    return {
        "moveit_controller_manager": "moveit_simple_controller_manager/MoveItSimpleControllerManager",
        "moveit_simple_controller_manager": {"controller_names": list(controllers), **entries},
        "trajectory_execution": {"allowed_start_tolerance": 0.01, "allowed_execution_duration_scaling": 1.5},
    }


def _ros2_controllers(arm: Arm, hand: HandModel) -> dict[str, Any]:
    controllers = _controllers(arm, hand)
    kinds = {"joint_state_broadcaster": {"type": "joint_state_broadcaster/JointStateBroadcaster"}}
    kinds |= {name: {"type": "joint_trajectory_controller/JointTrajectoryController"} for name in controllers}
    settings = {
        name: {
            "ros__parameters": {
                "joints": joints,
                "command_interfaces": ["position"],
                "state_interfaces": ["position", "velocity"],
                "allow_nonzero_velocity_at_trajectory_end": False,
            }
        }
        for name, joints in controllers.items()
    }
    return {"controller_manager": {"ros__parameters": {"update_rate": UPDATE_RATE, **kinds}}, **settings}


# ---------------------------------------------------------------------- SRDF
def _srdf(arm: Arm, hand: HandModel) -> str:
    config = arm.config
    group = quoteattr(config.group)
    hand_joints = "".join(f"    <joint name={quoteattr(name)}/>\n" for name in hand.all_joint_names)
    disabled = "".join(
        f"  <disable_collisions link1={quoteattr(one)} link2={quoteattr(other)} reason={quoteattr(reason)}/>\n"
        for (one, other), reason in sorted(overlapping_by_design(arm, hand).items())
    )
    return (
        f'<robot name="{config.name}_with_hand">\n'
        f"  <group name={group}>\n"
        f"    <chain base_link={quoteattr(config.base_frame)} tip_link={quoteattr(config.tip_frame)}/>\n"
        f'  </group>\n  <group name="{HAND_GROUP}">\n{hand_joints}  </group>\n'
        f"{_state('home', config.group, _home(arm))}{_state('open', HAND_GROUP, _open(hand))}"
        f'  <end_effector name="{HAND_GROUP}" group="{HAND_GROUP}" parent_link={quoteattr(config.tip_frame)}'
        f" parent_group={group}/>\n{disabled}</robot>\n"
    )


def _state(name: str, group: str, positions: dict[str, float]) -> str:
    rows = "".join(f'    <joint name={quoteattr(joint)} value="{value:g}"/>\n' for joint, value in positions.items())
    return f'  <group_state name="{name}" group={quoteattr(group)}>\n{rows}  </group_state>\n'


def overlapping_by_design(arm: Arm, hand: HandModel) -> dict[tuple[str, str], str]:
    """Return link pair → reason of all pairs with shapes that no check needs to look at."""
    from maskdex_core.motion.collision import HAND_NEAR_LINKS, LINKS_APART

    pairs: dict[tuple[str, str], str] = {}
    order = {name: index for index, name in enumerate(arm.link_names)}
    arm_links = sorted({capsule.link for capsule in arm.capsules}, key=order.__getitem__)
    for one, other in combinations(arm_links, 2):
        if order[other] - order[one] < LINKS_APART:
            pairs[one, other] = "Adjacent" if order[other] - order[one] == 1 else "Near in the chain"
    carriers = [name for name in arm_links if order[name] > len(arm.link_names) - 1 - HAND_NEAR_LINKS]
    hand_links = [name for name in hand.link_names if hand.urdf.links[name].shapes]
    pairs |= {(carrier, link): "Carries the hand" for carrier in carriers for link in hand_links}
    parent = {joint.child: joint.parent for joint in hand.urdf.joints.values()}
    for one, other in combinations(hand_links, 2):
        steps = _steps_apart(parent, one, other)
        if steps <= 2:
            pairs[one, other] = "Adjacent" if steps == 1 else "Near in the chain"
    return pairs


def _steps_apart(parent: dict[str, str], one: str, other: str) -> float:
    """Return how many joints lie between a link and one above it; infinity where neither is above the other."""
    for low, high in ((one, other), (other, one)):
        steps, above = 0, low
        while above in parent:
            above, steps = parent[above], steps + 1
            if above == high:
                return steps
    return math.inf


def _round(value: float) -> float:
    return round(float(value), 6)


def _round_down(value: float) -> float:
    # A limit must not become wider than the hardware's. What lies 1e-9 below a step is float noise.
    return math.floor(float(value) * 1e6 + 1e-3) / 1e6


def _round_up(value: float) -> float:
    return -_round_down(-value)


def _yaml(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=110)
