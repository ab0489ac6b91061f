"""The part of URDF that an arm needs: one serial chain, its limits, and capsules from its shapes."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskdex_core.errors import RobotError

MOVING_TYPES = ("revolute", "continuous")


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
        RobotError: when the file is not a URDF, has no such chain, or a joint type is not known here.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise RobotError(f"{path.name}: not a readable URDF ({error})") from error
    by_child = {_link(joint, "child"): joint for joint in root.findall("joint")}
    chain: list[ChainJoint] = []
    link = tip
    while link != base:
        if link not in by_child or len(chain) > len(by_child):
            raise RobotError(f"{path.name}: no chain leads from {base!r} to {tip!r} (stopped at {link!r})")
        chain.insert(0, _chain_joint(by_child[link]))
        link = _link(by_child[link], "parent")
    on_chain = {base, *(joint.child for joint in chain)}
    capsules = [
        capsule for element in root.findall("link") if element.get("name") in on_chain for capsule in _capsules(element)
    ]
    return chain, capsules


def _link(joint: ElementTree.Element, role: str) -> str:
    element = joint.find(role)
    return "" if element is None else element.get("link", "")


def _chain_joint(joint: ElementTree.Element) -> ChainJoint:
    name, kind = joint.get("name", ""), joint.get("type", "")
    if kind not in (*MOVING_TYPES, "fixed"):
        raise RobotError(f"joint {name!r} is {kind!r}; known types: fixed, {', '.join(MOVING_TYPES)}")
    axis = _numbers(joint.find("axis"), "xyz", (1.0, 0.0, 0.0))
    axis = axis / np.linalg.norm(axis)
    cross = np.zeros((4, 4))
    cross[:3, :3] = [[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]]
    origin = origin_transform(joint.find("origin"))
    limit = joint.find("limit")
    return ChainJoint(
        name=name,
        child=_link(joint, "child"),
        moves=kind in MOVING_TYPES,
        axis=axis,
        origin=origin,
        origin_cross=origin @ cross,
        origin_cross_twice=origin @ cross @ cross,
        lower=-np.inf if limit is None or kind == "continuous" else float(limit.get("lower", 0.0)),
        upper=np.inf if limit is None or kind == "continuous" else float(limit.get("upper", 0.0)),
        velocity=np.inf if limit is None else float(limit.get("velocity", np.inf)),
    )


def _capsules(link: ElementTree.Element) -> list[Capsule]:
    """Cylinders become capsules; spheres that only cap a cylinder's end add nothing and are dropped."""
    name = link.get("name", "")
    long, round_ = [], []
    for element in link.findall("collision"):
        pose = origin_transform(element.find("origin"))
        cylinder, sphere = element.find("geometry/cylinder"), element.find("geometry/sphere")
        if cylinder is not None:
            half = pose[:3, 2] * float(cylinder.get("length", 0.0)) / 2.0
            radius = float(cylinder.get("radius", 0.0))
            long.append(Capsule(name, pose[:3, 3] - half, pose[:3, 3] + half, radius))
        elif sphere is not None:
            round_.append(Capsule(name, pose[:3, 3], pose[:3, 3], float(sphere.get("radius", 0.0))))
        else:
            raise RobotError(f"link {name!r}: collision shapes of an arm are cylinders and spheres")
    return long + [ball for ball in round_ if not any(_caps(ball, capsule) for capsule in long)]


def _caps(ball: Capsule, capsule: Capsule) -> bool:
    gaps = [np.linalg.norm(ball.start - end) for end in (capsule.start, capsule.end)]
    return bool(min(gaps) < 1e-6 and ball.radius <= capsule.radius + 1e-9)


def origin_transform(origin: ElementTree.Element | None) -> np.ndarray:
    """Return the (4, 4) transform of an <origin> element; rpy turns about fixed x, then y, then z."""
    xyz = _numbers(origin, "xyz", (0.0, 0.0, 0.0))
    roll, pitch, yaw = _numbers(origin, "rpy", (0.0, 0.0, 0.0))
    cr, sr, cp, sp, cy, sy = (f(a) for a in (roll, pitch, yaw) for f in (np.cos, np.sin))
    transform = np.eye(4)
    transform[:3, :3] = [
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ]
    transform[:3, 3] = xyz
    return transform


def _numbers(element: ElementTree.Element | None, key: str, default: tuple[float, float, float]) -> np.ndarray:
    text = None if element is None else element.get(key)
    return np.array(default if text is None else [float(value) for value in text.split()])
