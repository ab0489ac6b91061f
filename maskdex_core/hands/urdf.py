"""Read from a URDF what pytorch-kinematics leaves out: collision primitives, limits, mimic, inertia."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transforms3d.euler import euler2mat

from maskdex_core.errors import HandError, unknown_choice
from maskdex_core.hands.primitives import Primitive

JOINT_KINDS = ("revolute", "continuous", "fixed")


@dataclass(frozen=True)
class UrdfJoint:
    """One joint. Limits in rad, rad/s and N·m; `mimic` is (source, multiplier, offset rad)."""

    name: str
    kind: str
    parent: str
    child: str
    parent_from_joint: np.ndarray
    axis: np.ndarray
    lower: float
    upper: float
    velocity: float
    effort: float
    mimic: tuple[str, float, float] | None


@dataclass(frozen=True)
class UrdfLink:
    """One link: collision shapes, mass in kg, centre of mass in m, inertia (3, 3) in kg·m²."""

    name: str
    shapes: tuple[Primitive, ...]
    mass: float
    com: np.ndarray
    inertia: np.ndarray


@dataclass(frozen=True)
class Urdf:
    """A parsed file: links and joints in the file's order, and its text."""

    text: str
    links: dict[str, UrdfLink]
    joints: dict[str, UrdfJoint]


def read_urdf(path: Path) -> Urdf:
    """Parse a plain URDF whose collision shapes are primitives.

    Raises:
        HandError: when it is missing, is not XML, or a joint or shape is not usable.
    """
    try:
        text = path.read_text(encoding="utf-8")
        root = ET.fromstring(text)
    except OSError as error:
        raise HandError(f"{path}: URDF cannot be read ({error.strerror})") from error
    except (ET.ParseError, UnicodeDecodeError) as error:
        raise HandError(f"{path}: not valid XML ({error})") from error
    try:
        links = {link.name: link for link in map(_link, root.findall("link"))}
        joints = {joint.name: joint for joint in map(_joint, root.findall("joint"))}
    except ValueError as error:
        raise HandError(f"{path}: holds something that is not a number ({error})") from error
    for joint in joints.values():
        for end in (joint.parent, joint.child):
            if end not in links:
                raise HandError(f"{path}: joint {joint.name!r} names link {end!r}, which does not exist")
        if joint.mimic and joint.mimic[0] not in joints:
            raise HandError(f"{path}: joint {joint.name!r} mimics {joint.mimic[0]!r}, which does not exist")
    return Urdf(text, links, joints)


def pose_matrix(xyz: np.ndarray, rpy: np.ndarray) -> np.ndarray:
    """Return the (4, 4) transform of URDF's fixed-axis roll, pitch, yaw (rad) and translation (m)."""
    matrix = np.eye(4)
    matrix[:3, :3] = euler2mat(*rpy, axes="sxyz")
    matrix[:3, 3] = xyz
    return matrix


def _numbers(text: str | None, default: str) -> np.ndarray:
    return np.array([float(part) for part in (text or default).split()])


def _origin(element: ET.Element | None) -> np.ndarray:
    origin = None if element is None else element.find("origin")
    if origin is None:
        return np.eye(4)
    return pose_matrix(_numbers(origin.get("xyz"), "0 0 0"), _numbers(origin.get("rpy"), "0 0 0"))


def _joint(element: ET.Element) -> UrdfJoint:
    name, kind = element.get("name", ""), element.get("type", "")
    parent, child = element.find("parent"), element.find("child")
    if kind not in JOINT_KINDS:
        raise HandError(f"joint {name!r}: {unknown_choice('type', kind, JOINT_KINDS)}")
    if parent is None or child is None:
        raise HandError(f"joint {name!r}: lacks a parent or a child link")
    axis, limit, mimic = element.find("axis"), element.find("limit"), element.find("mimic")

    def bound(key: str, default: float) -> float:
        return float(limit.get(key, default)) if limit is not None else default

    source = None
    if mimic is not None:
        source = (mimic.get("joint", ""), float(mimic.get("multiplier", 1)), float(mimic.get("offset", 0)))
        if source[1] == 0.0:
            raise HandError(f"joint {name!r}: mimic multiplier is 0; make the joint fixed instead")
    turns = np.pi if kind == "continuous" else 0.0
    lower, upper = bound("lower", -turns), bound("upper", turns)
    if lower > upper:
        raise HandError(f"joint {name!r}: lower limit {lower} is above the upper limit {upper}")
    return UrdfJoint(
        name, kind, parent.get("link", ""), child.get("link", ""), _origin(element),
        _numbers(axis.get("xyz") if axis is not None else None, "1 0 0"),
        lower, upper, bound("velocity", 0.0), bound("effort", 0.0), source,
    )  # fmt: skip


def _link(element: ET.Element) -> UrdfLink:
    name = element.get("name", "")
    shapes = _merge_capsules([_shape(name, collision) for collision in element.findall("collision")])
    inertial = element.find("inertial")
    mass, inertia, com = 0.0, np.eye(3) * 1e-9, np.zeros(3)
    if inertial is not None:
        mass_element, tensor = inertial.find("mass"), inertial.find("inertia")
        mass = float(mass_element.get("value", 0)) if mass_element is not None else 0.0
        pose = _origin(inertial)
        com = pose[:3, 3]
        if tensor is not None:
            xx, xy, xz, yy, yz, zz = (float(tensor.get(k, 0)) for k in ("ixx", "ixy", "ixz", "iyy", "iyz", "izz"))
            local = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
            inertia = pose[:3, :3] @ local @ pose[:3, :3].T
    return UrdfLink(name, tuple(shapes), mass, com, inertia)


def _shape(link: str, collision: ET.Element) -> Primitive:
    pose = _origin(collision)
    geometry = collision.find("geometry")
    shape = geometry[0] if geometry is not None and len(geometry) else None
    if shape is not None and shape.tag == "box":
        return Primitive("box", tuple(_numbers(shape.get("size"), "0 0 0") / 2), pose)
    if shape is not None and shape.tag == "sphere":
        return Primitive("sphere", (float(shape.get("radius", 0)),), pose)
    if shape is not None and shape.tag == "cylinder":
        return Primitive("cylinder", (float(shape.get("radius", 0)), float(shape.get("length", 0)) / 2), pose)
    found = "nothing" if shape is None else shape.tag
    raise HandError(f"link {link!r}: collision shape {found!r} cannot be used; use box, sphere or cylinder")


def _merge_capsules(shapes: list[Primitive]) -> list[Primitive]:
    """URDF has no capsule: a cylinder with a sphere of its radius at each end is one."""
    spheres = [shape for shape in shapes if shape.kind == "sphere"]
    used: set[int] = set()
    merged: list[Primitive] = []
    for shape in (s for s in shapes if s.kind != "sphere"):
        ends = _end_spheres(shape, spheres) if shape.kind == "cylinder" else []
        if len(ends) == 2:
            used.update(ends)
            merged.append(Primitive("capsule", shape.size, shape.link_from_shape))
        else:
            merged.append(shape)
    return merged + [sphere for index, sphere in enumerate(spheres) if index not in used]


def _end_spheres(cylinder: Primitive, spheres: list[Primitive]) -> list[int]:
    radius, half = cylinder.size
    center, axis = cylinder.link_from_shape[:3, 3], cylinder.link_from_shape[:3, 2]
    found = []
    for end in (center - half * axis, center + half * axis):
        for index, sphere in enumerate(spheres):
            near = np.linalg.norm(sphere.link_from_shape[:3, 3] - end) < 1e-4
            if near and abs(sphere.size[0] - radius) < 1e-5 and index not in found:
                found.append(index)
                break
    return found
