"""What an arm takes from a URDF: one serial chain, its limits, and capsules from its shapes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskdex_core.errors import RobotError, UrdfError
from maskdex_core.primitives import Primitive
from maskdex_core.urdf import UrdfJoint, read_urdf


@dataclass(frozen=True)
class ChainJoint:
    """One joint of the chain.

    `origin` is parent_from_joint (4, 4). With Rodrigues' formula a turn by q is
    origin + sin(q) origin_cross + (1 - cos(q)) origin_cross_twice, so a batch costs two products.
    """

    name: str
    child: str
    moves: bool
    axis: np.ndarray
    origin: np.ndarray
    origin_cross: np.ndarray
    origin_cross_twice: np.ndarray
    lower: float
    upper: float
    velocity: float


@dataclass(frozen=True)
class Capsule:
    """All points within `radius` m of the segment from `start` to `end` (3,) m, in the link's frame."""

    link: str
    start: np.ndarray
    end: np.ndarray
    radius: float


def read_chain(path: Path, base: str, tip: str) -> tuple[list[ChainJoint], list[Capsule]]:
    """Read the chain from base to tip and its links' capsules.

    Raises:
        RobotError: when the file is not a usable URDF, has no such chain, or an arm cannot have what it holds.
    """
    try:
        urdf = read_urdf(path, (base, tip))
    except UrdfError as error:
        raise RobotError(str(error)) from error
    chain = [_chain_joint(joint) for joint in urdf.joints.values()]
    return chain, [_capsule(link.name, shape) for link in urdf.links.values() for shape in link.shapes]


def _chain_joint(joint: UrdfJoint) -> ChainJoint:
    if joint.mimic is not None:
        raise RobotError(f"joint {joint.name!r} mimics {joint.mimic[0]!r}; every joint of an arm is driven")
    x, y, z = joint.axis
    cross = np.zeros((4, 4))
    cross[:3, :3] = [[0, -z, y], [z, 0, -x], [-y, x, 0]]
    origin, endless = joint.parent_from_joint, joint.kind == "continuous"
    return ChainJoint(
        name=joint.name,
        child=joint.child,
        moves=joint.kind != "fixed",
        axis=joint.axis,
        origin=origin,
        origin_cross=origin @ cross,
        origin_cross_twice=origin @ cross @ cross,
        lower=-np.inf if endless else joint.lower,
        upper=np.inf if endless else joint.upper,
        velocity=joint.velocity,
    )


def _capsule(link: str, shape: Primitive) -> Capsule:
    """A cylinder gets round ends, which errs on the safe side."""
    if shape.kind == "box":
        raise RobotError(f"link {link!r}: collision shape 'box' cannot be used; use cylinders and spheres")
    center, axis = shape.link_from_shape[:3, 3], shape.link_from_shape[:3, 2]
    half = axis * (0.0 if shape.kind == "sphere" else shape.size[1])
    return Capsule(link, center - half, center + half, shape.size[0])
