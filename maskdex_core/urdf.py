"""The one reader of URDF files: joints, limits, mimic, collision primitives, inertia; whole or one chain."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from transforms3d.euler import euler2mat

from maskdex_core.errors import UrdfError, unknown_choice
from maskdex_core.primitives import Primitive

JOINT_KINDS = ("revolute", "continuous", "fixed")
# What nothing here reads is not checked either, and left out of the text that other readers get.
READ = {
    "robot": ("link", "joint"),
    "link": ("collision", "inertial"),
    "joint": ("parent", "child", "origin", "axis", "limit", "mimic"),
}

T = TypeVar("T")


@dataclass(frozen=True)
class UrdfJoint:
    """One joint.

    Limits in rad, rad/s and N·m, 0 where the file gives none; a continuous joint has ±π. `axis` (3,) is a
    unit vector in the joint's frame; `mimic` is (source, multiplier, offset rad).
    """

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
    """A parsed file: its text without what is not read here; links and joints in the file's order, or the chain's."""

    text: str
    links: dict[str, UrdfLink]
    joints: dict[str, UrdfJoint]


def read_urdf(path: Path, chain: tuple[str, str] | None = None) -> Urdf:
    """Parse a plain URDF whose collision shapes are primitives.

    Args:
        path: of the file.
        chain: (base, tip) links: only what lies on the way from base to tip is read, in that order, and
            whatever else the file holds may be of kinds that are not known here. None reads everything.

    Raises:
        UrdfError: when it is missing, is not XML, has no such chain, is no tree, or when a joint, a shape
            or a number is not usable.
    """
    try:
        root = ET.fromstring(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UrdfError(f"{path}: URDF cannot be read ({error.strerror})") from error
    except (ET.ParseError, UnicodeDecodeError) as error:
        raise UrdfError(f"{path}: not valid XML ({error})") from error
    try:
        link_elements, joint_elements = root.findall("link"), root.findall("joint")
        if chain is not None:
            link_elements, joint_elements = _on_chain(link_elements, joint_elements, *chain)
        links = _by_name(link_elements, _link)
        joints = _by_name(joint_elements, _joint)
        _check_tree(links, joints)
    except ValueError as error:
        raise UrdfError(f"{path}: {error}") from error
    return Urdf(_what_is_read(root), links, joints)


def pose_matrix(xyz: np.ndarray, rpy: np.ndarray) -> np.ndarray:
    """Return the (4, 4) transform of URDF's fixed-axis roll, pitch, yaw (rad) and translation (m)."""
    matrix = np.eye(4)
    matrix[:3, :3] = euler2mat(*rpy, axes="sxyz")
    matrix[:3, 3] = xyz
    return matrix


# ---------------------------------------------------------------------- structure (ValueError: one sentence)
def _by_name(elements: list[ET.Element], parse: Callable[[ET.Element], T]) -> dict[str, T]:
    found: dict[str, T] = {}
    for element in elements:
        name = element.get("name", "")
        if not name or name in found:
            raise ValueError(
                f"{element.tag} name {name!r} is {'used twice' if name else 'empty'}; expected one of its own"
            )
        found[name] = _named(element, parse)
    return found


def _named(element: ET.Element, parse: Callable[[ET.Element], T]) -> T:
    """Parse a link or joint; say which one it is when that fails."""
    try:
        return parse(element)
    except ValueError as error:
        raise ValueError(f"{element.tag} {element.get('name', '')!r}: {error}") from error


def _end(joint: ET.Element, role: str) -> str:
    element = joint.find(role)
    return "" if element is None else element.get("link", "")


def _on_chain(
    links: list[ET.Element], joints: list[ET.Element], base: str, tip: str
) -> tuple[list[ET.Element], list[ET.Element]]:
    by_child = {_end(joint, "child"): joint for joint in joints}
    way: list[ET.Element] = []
    link = tip
    while link != base:
        if link not in by_child or len(way) > len(by_child):
            raise ValueError(f"no chain leads from {base!r} to {tip!r} (stopped at {link!r})")
        way.insert(0, by_child[link])
        link = _end(by_child[link], "parent")
    names = {base, *(_end(joint, "child") for joint in way)}
    return [element for element in links if element.get("name") in names], way


def _check_tree(links: dict[str, UrdfLink], joints: dict[str, UrdfJoint]) -> None:
    if not links:
        raise ValueError("holds no link")
    owner: dict[str, str] = {}
    for joint in joints.values():
        for end in (joint.parent, joint.child):
            if end not in links:
                raise ValueError(f"joint {joint.name!r} names link {end!r}, which does not exist")
        if joint.child in owner:
            raise ValueError(f"link {joint.child!r} hangs on two joints, {owner[joint.child]!r} and {joint.name!r}")
        owner[joint.child] = joint.name
        if joint.mimic and joint.mimic[0] not in joints:
            raise ValueError(f"joint {joint.name!r} mimics {joint.mimic[0]!r}, which does not exist")
    if len(owner) == len(links):
        raise ValueError("has no root link: every link hangs on a joint")


def _what_is_read(root: ET.Element) -> str:
    for element in (root, *root.findall("link"), *root.findall("joint")):
        for child in list(element):
            if child.tag not in READ.get(element.tag, READ["robot"]):
                element.remove(child)
    return ET.tostring(root, encoding="unicode")


# ---------------------------------------------------------------------- numbers
def _vector(element: ET.Element | None, key: str, count: int, default: str | None = None) -> np.ndarray:
    """Return `count` finite numbers of an attribute; no default means that the attribute has to be there."""
    text = default if element is None else element.get(key, default)
    tag = "" if element is None else f"{element.tag} "
    if text is None:
        raise ValueError(f"{tag}lacks {key}")
    try:
        values = [float(part) for part in text.split()]
    except ValueError:
        values = []
    if len(values) != count or not all(math.isfinite(value) for value in values):
        expected = "a finite number" if count == 1 else f"{count} finite numbers"
        raise ValueError(f"{tag}{key} is {text!r}; expected {expected}")
    return np.array(values)


def _number(element: ET.Element | None, key: str, default: float | None = None) -> float:
    return float(_vector(element, key, 1, None if default is None else repr(default))[0])


def _lengths(element: ET.Element, key: str, count: int = 1) -> tuple[float, ...]:
    values = _vector(element, key, count)
    if (values <= 0).any():
        raise ValueError(f"{element.tag} {key} is {element.get(key)!r}; expected lengths above 0 m")
    return tuple(float(value) for value in values)


def _origin(element: ET.Element) -> np.ndarray:
    origin = element.find("origin")
    return pose_matrix(_vector(origin, "xyz", 3, "0 0 0"), _vector(origin, "rpy", 3, "0 0 0"))


# ---------------------------------------------------------------------- joints
def _joint(element: ET.Element) -> UrdfJoint:
    name, kind = element.get("name", ""), element.get("type", "")
    if kind not in JOINT_KINDS:
        raise ValueError(unknown_choice("type", kind, JOINT_KINDS))
    if element.find("parent") is None or element.find("child") is None:
        raise ValueError("lacks a parent or a child link")
    limit, turns = element.find("limit"), math.pi if kind == "continuous" else 0.0
    lower, upper = _number(limit, "lower", -turns), _number(limit, "upper", turns)
    if lower > upper:
        raise ValueError(f"lower limit {lower} is above the upper limit {upper}")
    joint = UrdfJoint(
        name=name,
        kind=kind,
        parent=_end(element, "parent"),
        child=_end(element, "child"),
        parent_from_joint=_origin(element),
        axis=_axis(element.find("axis"), kind),
        lower=lower,
        upper=upper,
        velocity=_not_negative(limit, "velocity"),
        effort=_not_negative(limit, "effort"),
        mimic=_mimic(element.find("mimic")),
    )
    if kind == "revolute" and limit is None:
        raise ValueError("lacks a limit; expected lower, upper (rad) and velocity (rad/s), or the type continuous")
    return joint


def _not_negative(limit: ET.Element | None, key: str) -> float:
    value = 0.0 if limit is None else _number(limit, key)
    if value < 0:
        raise ValueError(f"limit {key} is {value:g}; expected 0 or more")
    return value


def _axis(element: ET.Element | None, kind: str) -> np.ndarray:
    axis = _vector(element, "xyz", 3, "1 0 0")
    length = float(np.linalg.norm(axis))
    if length > 1e-9:
        return axis / length
    if kind != "fixed":
        raise ValueError("axis xyz is all zero; expected a direction")
    return np.array([1.0, 0.0, 0.0])


def _mimic(element: ET.Element | None) -> tuple[str, float, float] | None:
    if element is None:
        return None
    multiplier = _number(element, "multiplier", 1.0)
    if multiplier == 0.0:
        raise ValueError("mimic multiplier is 0; make the joint fixed instead")
    return element.get("joint", ""), multiplier, _number(element, "offset", 0.0)


# ---------------------------------------------------------------------- links
def _link(element: ET.Element) -> UrdfLink:
    shapes = _merge_capsules([_shape(collision) for collision in element.findall("collision")])
    inertial = element.find("inertial")
    mass, inertia, com = 0.0, np.eye(3) * 1e-9, np.zeros(3)
    if inertial is not None:
        mass_element, tensor = inertial.find("mass"), inertial.find("inertia")
        mass = _number(mass_element, "value", 0.0)
        pose = _origin(inertial)
        com = pose[:3, 3]
        if tensor is not None:
            xx, xy, xz, yy, yz, zz = (_number(tensor, key, 0.0) for key in ("ixx", "ixy", "ixz", "iyy", "iyz", "izz"))
            local = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
            inertia = pose[:3, :3] @ local @ pose[:3, :3].T
    return UrdfLink(element.get("name", ""), tuple(shapes), mass, com, inertia)


def _shape(collision: ET.Element) -> Primitive:
    pose = _origin(collision)
    geometry = collision.find("geometry")
    shape = geometry[0] if geometry is not None and len(geometry) else None
    if shape is not None and shape.tag == "box":
        x, y, z = _lengths(shape, "size", 3)
        return Primitive("box", (x / 2, y / 2, z / 2), pose)
    if shape is not None and shape.tag == "sphere":
        return Primitive("sphere", _lengths(shape, "radius"), pose)
    if shape is not None and shape.tag == "cylinder":
        (radius,), (length,) = _lengths(shape, "radius"), _lengths(shape, "length")
        return Primitive("cylinder", (radius, length / 2), pose)
    found = "nothing" if shape is None else shape.tag
    raise ValueError(f"collision shape {found!r} cannot be used; use box, sphere or cylinder")


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
