"""What makes a plan unsafe, written a second time: nothing here comes from the verdict or its rooms.

Limits are read from the YAML and URDF files, the controller's motion is scipy's, kinematics walks the URDF's
joints, shapes are sampled densely. Tolerances are a little wider than the verdict's, so that whatever it passes
has to pass here. Plans are plain arrays; see `Case`.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import yaml
from scipy.interpolate import BPoly
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

ROOT = Path(__file__).resolve().parents[1]
ARM = tuple(f"joint{i}" for i in range(1, 8))


@dataclass(frozen=True)
class Case:
    """A plan, where the robot stands, and the world, as plain arrays.

    `arm` and `hand` are (names, times, positions, velocities, accelerations); `phases` name → (begin, end).
    `hand_spheres` are centres (S, 3) in link_eef and radii (S,) of a hand that keeps its shape.
    """

    arm: tuple
    hand: tuple
    phases: dict
    start: dict
    object_points: np.ndarray
    obstacle_points: np.ndarray
    table_height: float
    hand_spheres: tuple[np.ndarray, np.ndarray]


@cache
def _arm_yaml() -> dict:
    return yaml.safe_load((ROOT / "config/arms/xarm7.yaml").read_text())


@cache
def _urdf() -> tuple[list, list]:
    """Return joints (name, parent_from_joint, turns) in chain order, and cylinders (joint index, ends, radius)."""
    root = ElementTree.parse(ROOT / "urdf/xarm7.urdf").getroot()
    joints, links = [], {"link_base": -1}
    for joint in root.findall("joint"):
        if joint.find("parent").get("link") == "world":
            continue
        links[joint.find("child").get("link")] = len(joints)
        joints.append((joint.get("name"), _origin(joint), joint.get("type") != "fixed"))
    cylinders = []
    for link in root.findall("link"):
        for collision in link.findall("collision"):
            shape = collision.find("geometry/cylinder")
            if shape is None or link.get("name") not in links:
                continue
            half = float(shape.get("length")) / 2.0
            ends = (_origin(collision) @ np.array([[0, 0, -half, 1], [0, 0, half, 1]]).T).T[:, :3]
            cylinders.append((links[link.get("name")], ends, float(shape.get("radius"))))
    return joints, cylinders


def _origin(element: ElementTree.Element) -> np.ndarray:
    pose, origin = np.eye(4), element.find("origin")
    if origin is not None:
        pose[:3, 3] = [float(value) for value in origin.get("xyz", "0 0 0").split()]
        angles = [float(value) for value in origin.get("rpy", "0 0 0").split()]
        pose[:3, :3] = Rotation.from_euler("xyz", angles).as_matrix()
    return pose


def frames(q: np.ndarray) -> np.ndarray:
    """Return base_from_link (T, links, 4, 4) of positions (T, 7), the last being link_eef."""
    pose = np.tile(np.eye(4), (len(q), 1, 1))
    found, column = [], 0
    for _name, origin, turns in _urdf()[0]:
        pose = pose @ origin
        if turns:
            turn = np.tile(np.eye(4), (len(q), 1, 1))
            turn[:, :3, :3] = Rotation.from_rotvec(q[:, column, None] * [0.0, 0.0, 1.0]).as_matrix()
            pose, column = pose @ turn, column + 1
        found.append(pose)
    return np.stack(found, axis=1)


def unsafe(case: Case, hand_limits: dict[str, np.ndarray]) -> str:
    """Return what is unsafe about a plan, or an empty text. `hand_limits`: names, lower, upper and rates."""
    arm = {key: np.array([joint[key] for joint in _arm_yaml()["joints"].values()]) for key in _KEYS}
    for what, part, names, limits in (
        ("arm", case.arm, ARM, arm),
        ("hand", case.hand, tuple(hand_limits["names"]), hand_limits),
    ):
        wrong = _form(part, names) or _start(part, case.start, limits) or _limits(part, limits)
        if wrong:
            return f"{what}: {wrong}"
    if len(case.arm[1]) != len(case.hand[1]) or np.abs(case.arm[1] - case.hand[1]).max() > 0.0:
        return "arm and hand are not on one clock"
    return _space(case)


_KEYS = ("lower", "upper", "velocity", "acceleration", "jerk")


def _form(part: tuple, names: tuple) -> str:
    given, times, *arrays = part
    if tuple(given) != names:
        return "names"
    if not all(np.isfinite(values).all() for values in (times, *arrays)):
        return "not finite"
    if times[0] <= 0.0 or not (times[1:] > times[:-1]).all():
        return "times"
    return "moves at its end" if arrays[1][-1].any() else ""


def _start(part: tuple, start: dict, limits: dict) -> str:
    names, times, q, v, a = part
    state = np.array([start.get(name, np.nan) for name in names])
    if not (np.abs(q[0] - state) <= 0.0101).all():
        return "starts elsewhere"
    if not ((state >= limits["lower"] - 0.0101) & (state <= limits["upper"] + 0.0101)).all():
        return "stands outside its limits"
    if (np.abs(v[0]) > 1.01 * limits["jerk"] * times[0] ** 2 / 2.0).any():
        return "jumps from rest"
    return "jerks from rest" if (np.abs(a[0]) > 1.01 * limits["jerk"] * times[0]).any() else ""


def _controller(part: tuple) -> BPoly:
    """The quintic of joint_trajectory_controller: meets position, velocity and acceleration at every point."""
    _names, times, q, v, a = part
    return BPoly.from_derivatives(times, np.stack([q, v, a], axis=1))


def _limits(part: tuple, limits: dict) -> str:
    names, times, *_rest = part
    if len(times) == 1:
        return "outside its limits" if _outside(part[2], limits) else ""
    motion = _controller(part)
    fine = np.unique(np.concatenate([np.linspace(a, b, 14) for a, b in pairwise(times)]))
    if _outside(motion(fine), limits):
        return "outside its limits"
    for order, (key, slack) in enumerate((("velocity", 1.002), ("acceleration", 1.01), ("jerk", 1.04)), start=1):
        # a hair beside the points, where the third derivative has two values
        rates = np.abs(motion.derivative(order)(fine + (1e-9 if order == 3 else 0.0)))[:-1]
        over = rates.max(axis=0) > limits[key] * slack
        if over.any():
            return f"{key} of {names[int(np.argmax(over))]}"
    return ""


def _outside(q: np.ndarray, limits: dict) -> bool:
    return bool((q < limits["lower"] - 1e-5).any() or (q > limits["upper"] + 1e-5).any())


def _space(case: Case) -> str:
    times = case.arm[1]
    sampled = np.arange(times[0], times[-1], 0.02) if len(times) > 1 else times
    sampled = np.unique(
        np.concatenate([sampled, times[-1:], *(np.clip(s, times[0], times[-1]) for s in case.phases.values())])
    )
    q = _controller(case.arm)(sampled) if len(times) > 1 else case.arm[2]
    links = frames(q)
    tip = links[:, -1]
    box = np.array([_arm_yaml()["workspace_lower"], _arm_yaml()["workspace_upper"]])
    if (tip[:, :3, 3] < box[0] - 1e-4).any() or (tip[:, :3, 3] > box[1] + 1e-4).any():
        return "leaves the workspace"
    phase = _phase(case, sampled)
    centers, radii = case.hand_spheres
    spheres = centers @ tip[:, :3, :3].transpose(0, 2, 1) + tip[:, None, :3, 3]
    return _arm_hits(case, links, spheres, radii, phase) or _hand_hits(case, tip, spheres, radii, phase)


def _phase(case: Case, times: np.ndarray) -> np.ndarray:
    names = np.full(len(times), "transit", dtype=object)
    for name in ("lift", "close", "approach", "transit"):
        if name in case.phases:
            begin, end = case.phases[name]
            names[(times >= begin - 1e-9) & (times <= end + 1e-9)] = name
    return names


def _axes(links: np.ndarray) -> list[tuple[int, np.ndarray, float]]:
    """Return (link index, axis points (T, K, 3), radius) of every cylinder, a point each 1 cm."""
    found = []
    for link, ends, radius in _urdf()[1]:
        count = max(int(np.ceil(np.linalg.norm(ends[1] - ends[0]) / 0.01)) + 1, 2)
        local = ends[0] + np.linspace(0.0, 1.0, count)[:, None] * (ends[1] - ends[0])
        if link < 0:
            found.append((link, np.broadcast_to(local, (len(links), *local.shape)), radius))
        else:
            pose = links[:, link]
            found.append((link, local @ pose[:, :3, :3].transpose(0, 2, 1) + pose[:, None, :3, 3], radius))
    return found


def _arm_hits(case: Case, links: np.ndarray, spheres: np.ndarray, radii: np.ndarray, phase: np.ndarray) -> str:
    axes = _axes(links)
    hand = len(_urdf()[0]) - 1  # index of link_eef
    held = phase == "lift"
    for link, points, radius in axes:
        if link >= 1 and (points[..., 2].min() - radius) < case.table_height + 0.005:
            return "arm and table"
        if len(case.obstacle_points) and _nearest(case.obstacle_points, points) - radius < 0.004:
            return "arm and obstacle"
        if len(case.object_points) and _nearest(case.object_points, points[~held]) - radius < 0.004:
            return "arm and object"
        if link < hand - 3:
            near = np.linalg.norm(points[:, :, None] - spheres[:, None], axis=3).min(axis=1) - radii
            if near.min() < radius - 0.001:
                return "arm and hand"
        for other, others, width in axes:
            if other >= link + 3:
                near = np.linalg.norm(points[:, :, None] - others[:, None], axis=3).min()
                if near < radius + width - 0.001:
                    return "arm and arm"
    return ""


def _nearest(cloud: np.ndarray, points: np.ndarray) -> float:
    return float(KDTree(cloud).query(points)[0].min(initial=np.inf))


def _hand_hits(case: Case, tip: np.ndarray, spheres: np.ndarray, radii: np.ndarray, phase: np.ndarray) -> str:
    if (spheres[..., 2] - radii).min() < case.table_height - 0.003:
        return "hand and table"
    if len(case.obstacle_points) and (KDTree(case.obstacle_points).query(spheres)[0] - radii).min() < 0.004:
        return "hand and obstacle"
    if len(case.object_points) == 0:
        return ""
    gap = (KDTree(case.object_points).query(spheres)[0] - radii).min(axis=1)
    coming = np.flatnonzero(phase == "approach")
    left = np.linalg.norm(tip[:, :3, 3] - tip[coming[-1], :3, 3], axis=1) if len(coming) else np.full(len(tip), 9.0)
    if (gap[(phase == "transit") & (left > 0.011)] < 0.004).any():
        return "hand and object in transit"
    if (gap[(phase == "approach") & (left > 0.011)] < -0.003).any() or (gap[phase == "approach"] < -0.007).any():
        return "hand and object in approach"
    lifted = tip[phase == "lift"]
    if len(lifted) and gap[phase == "lift"][0] > 0.012 and gap[phase == "lift"].min() < 0.004:
        return "hand and object that was not taken"
    if len(lifted):
        moved = lifted @ np.linalg.inv(lifted[0])
        carried = case.object_points @ moved[:, :3, :3].transpose(0, 2, 1) + moved[:, None, :3, 3]
        if carried[..., 2].min() < min(case.table_height, carried[0, :, 2].min()) - 0.006:
            return "carried object and table"
        if len(case.obstacle_points):
            near = KDTree(case.obstacle_points).query(carried)[0].min(axis=1)
            if near.min() < min(0.004, near[0] - 0.008):
                return "carried object and obstacle"
    return ""
