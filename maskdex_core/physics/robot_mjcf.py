"""Arm and hand as one MJCF robot on a table: bodies, position servos, contact pairs to ignore.

The servos are estimates: joint stiffness 40 times the URDF's effort limit, and a velocity gain of a twentieth of
that, give the arm's joints time constants of 10 to 30 ms. The arm's controller knows its own weight and its hand's
(gravity compensation), not the object's. The hand's servos are those of the hold test.
"""

from __future__ import annotations

import numpy as np

from maskdex_core.hands.model import HandModel
from maskdex_core.motion.arm import Arm
from maskdex_core.physics.hand_mjcf import (
    hand_actuators,
    hand_bodies,
    hand_equalities,
    hand_exclusions,
    inertial,
    numbers,
    pose_attributes,
)
from maskdex_core.resources import resource_path
from maskdex_core.urdf import Urdf, UrdfJoint, read_urdf

STIFFNESS_PER_EFFORT = 40.0  # 1/rad
VELOCITY_GAIN = 0.05  # s, share of the stiffness
ARM_DAMPING, ARM_ARMATURE = 1.0, 0.1  # N·m·s/rad and kg·m², of motors and gears: estimates
HAND_TORQUE = 3.0  # N·m: as in the hold test; stiffness is the hand's own, for which its squeezes are solved
# contype and conaffinity: the arm meets table and object, the hand also itself; links of the arm overlap by design.
ARM_CONTACTS, HAND_CONTACTS = 'contype="8" conaffinity="6"', 'contype="1" conaffinity="7"'
OBJECT_CONTACTS, TABLE_CONTACTS = 'contype="2" conaffinity="5"', 'contype="4" conaffinity="3"'


def arm_urdf(arm: Arm) -> Urdf:
    """Return the arm's links and joints from base to flange."""
    return read_urdf(resource_path(arm.config.urdf), (arm.config.base_frame, arm.config.tip_frame))


def robot_bodies(arm: Arm, hand: HandModel) -> str:
    """Return the body tree, the arm's base at the world's origin, the hand on the flange."""
    mount = f"<body {pose_attributes(hand.flange_from_palm())}>{hand_bodies(hand)}</body>"
    urdf = arm_urdf(arm)
    text = mount.replace("<body ", '<body gravcomp="1" ')
    for joint in reversed(urdf.joints.values()):  # a chain: the last link is built first, and hung on the one before
        text = _link(urdf, joint.child, joint, text)
    return _link(urdf, arm.config.base_frame, None, text)


def robot_actuators(arm: Arm, hand: HandModel) -> str:
    """Return position servos of the arm's joints, then of the hand's driven ones."""
    rows = []
    for joint in arm_urdf(arm).joints.values():
        if joint.kind != "fixed":
            stiffness = STIFFNESS_PER_EFFORT * joint.effort
            rows.append(
                f'<position name="{joint.name}" joint="{joint.name}" kp="{stiffness}" kv="{VELOCITY_GAIN * stiffness}"'
                f' forcerange="{-joint.effort} {joint.effort}"/>'
            )
    return "".join(rows) + hand_actuators(hand, hand.spec.stiffness, HAND_TORQUE)


def robot_equalities(hand: HandModel) -> str:
    """Return the hand's mimic joints."""
    return hand_equalities(hand)


def robot_exclusions(hand: HandModel) -> str:
    """Return contact pairs of the hand to ignore."""
    return hand_exclusions(hand)


def _link(urdf: Urdf, name: str, joint: UrdfJoint | None, inner: str) -> str:
    link = urdf.links[name]
    pose = np.eye(4) if joint is None else joint.parent_from_joint
    text = f'<body gravcomp="1" name="{name}" {pose_attributes(pose)}>'
    if joint is not None and joint.kind != "fixed":
        text += (
            f'<joint name="{joint.name}" axis="{numbers(joint.axis)}" limited="true"'
            f' range="{joint.lower} {joint.upper}" damping="{ARM_DAMPING}" armature="{ARM_ARMATURE}"/>'
        )
    text += inertial(link)
    for shape in link.shapes:
        text += f'<geom class="arm" type="{shape.kind}" size="{numbers(shape.size)}" '
        text += f"{pose_attributes(shape.link_from_shape)}/>"
    return text + inner + "</body>"
