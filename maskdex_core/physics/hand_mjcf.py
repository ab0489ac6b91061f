"""A `HandModel` as MJCF bodies: palm fixed at the world origin, position-controlled joints."""

from __future__ import annotations

import numpy as np
from transforms3d.quaternions import mat2quat

from maskdex_core.hands.model import HandModel
from maskdex_core.primitives import Primitive
from maskdex_core.urdf import UrdfJoint, UrdfLink

JOINT_DAMPING = 0.05  # N·m·s/rad, armature kg·m², friction N·m: as MuJoCo Menagerie's Shadow hand
JOINT_ARMATURE = 0.0002
JOINT_FRICTION = 0.01


def numbers(values: np.ndarray | list[float] | tuple[float, ...]) -> str:
    """Return values as MJCF text."""
    return " ".join(f"{value:.9g}" for value in np.asarray(values, float).ravel())


def pose_attributes(pose: np.ndarray) -> str:
    """Return `pos` and `quat` attributes of a (4, 4) pose."""
    return f'pos="{numbers(pose[:3, 3])}" quat="{numbers(mat2quat(pose[:3, :3]))}"'


def inertial(link: UrdfLink) -> str:
    """Return a link's mass, centre and inertia; nothing for a link without mass."""
    if link.mass <= 0:
        return ""
    full = [link.inertia[i, j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
    return f'<inertial pos="{numbers(link.com)}" mass="{link.mass:.6g}" fullinertia="{numbers(full)}"/>'


def hand_bodies(hand: HandModel) -> str:
    """Return the body tree of a hand, its root fixed at the origin."""
    children: dict[str, list[UrdfJoint]] = {}
    for joint in hand.urdf.joints.values():
        children.setdefault(joint.parent, []).append(joint)
    return _body(hand, hand.spec.root, None, children)


def hand_actuators(hand: HandModel, stiffness: float, force: float) -> str:
    """Return position actuators (kp N·m/rad, force limit N·m), in `joint_names` order."""
    rows = [
        f'<position name="{name}" joint="{name}" kp="{stiffness}" forcerange="{-force} {force}"/>'
        for name in hand.joint_names
    ]
    return "".join(rows)


def hand_equalities(hand: HandModel) -> str:
    """Return the joints that follow another, by mimic or tendon, as joint equalities."""
    rows = []
    for name in hand.all_joint_names:
        follower = hand.follower(name)
        if follower:
            source, gain, offset = follower
            rows.append(f'<joint joint1="{name}" joint2="{source}" polycoef="{offset} {gain} 0 0 0"/>')
    return "".join(rows)


def hand_exclusions(hand: HandModel) -> str:
    """Return contact pairs to ignore: neighbours, and all that is two joints from the fixed palm.

    A fixed body loses MuJoCo's own parent filter, and knuckles overlap the palm by design.
    """
    parent = {joint.child: joint.parent for joint in hand.urdf.joints.values()}
    pairs = {(link, parent[link]) for link in hand.link_names if link in parent}
    for link, above in list(pairs):
        if above in parent:
            pairs.add((link, parent[above]))
    return "".join(f'<exclude body1="{a}" body2="{b}"/>' for a, b in sorted(pairs))


def _body(hand: HandModel, link: str, joint: UrdfJoint | None, children: dict[str, list[UrdfJoint]]) -> str:
    data = hand.urdf.links[link]
    pose = np.eye(4) if joint is None else joint.parent_from_joint
    text = f'<body name="{link}" {pose_attributes(pose)}>'
    if joint is not None and joint.kind != "fixed":
        text += (
            f'<joint name="{joint.name}" axis="{numbers(joint.axis)}" range="{joint.lower} {joint.upper}"'
            f' limited="true" damping="{JOINT_DAMPING}" armature="{JOINT_ARMATURE}" frictionloss="{JOINT_FRICTION}"/>'
        )
    text += inertial(data)
    text += "".join(_geom(f"{link}/{index}", shape) for index, shape in enumerate(data.shapes))
    text += "".join(_body(hand, child.child, child, children) for child in children.get(link, []))
    return text + "</body>"


def _geom(name: str, shape: Primitive) -> str:
    return (
        f'<geom name="{name}" class="hand" type="{shape.kind}" size="{numbers(shape.size)}"'
        f" {pose_attributes(shape.link_from_shape)}/>"
    )
