"""Robot fact tables (JSON), and forward kinematics that shares no code with the package."""

from __future__ import annotations

import json

import beside
import numpy as np
import pytest

SHARED = beside.ROOT


def table(name: str) -> dict:
    """Return one fact table, or skip the test."""
    path = SHARED / "robots" / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"robot fact tables are not here ({path}); set MASKDEX_SHARED to their folder")
    return json.loads(path.read_text())


def walk(facts: dict, root: str, angles: dict[str, float]) -> dict[str, np.ndarray]:
    """Return link → root_from_link (4, 4), joint by joint, mimic joints followed."""
    poses = {root: np.eye(4)}
    waiting = list(facts["joints"])
    while True:
        ready = [joint for joint in waiting if joint["parent"] in poses]
        if not ready:
            return poses
        for joint in ready:
            poses[joint["child"]] = poses[joint["parent"]] @ _step(joint, angles)
        waiting = [joint for joint in waiting if joint not in ready]


def _step(joint: dict, angles: dict[str, float]) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = _from_rpy(joint["origin_rpy"])
    if joint.get("origin_quat_wxyz"):
        pose[:3, :3] = _from_quaternion(joint["origin_quat_wxyz"])
    pose[:3, 3] = joint["origin_xyz"]
    if joint["type"] == "fixed":
        return pose
    angle = angles.get(joint["name"], 0.0)
    if joint["mimic"]:
        mimic = joint["mimic"]
        angle = mimic["multiplier"] * angles[mimic["joint"]] + mimic["offset"]
    pose[:3, :3] = pose[:3, :3] @ _about(np.array(joint["axis"]), angle)
    return pose


def _from_rpy(rpy: list[float]) -> np.ndarray:
    x, y, z = (_about(np.eye(3)[axis], angle) for axis, angle in enumerate(rpy))
    return z @ y @ x


def _from_quaternion(wxyz: list[float]) -> np.ndarray:
    w, *vector = np.array(wxyz) / np.linalg.norm(wxyz)
    norm = np.linalg.norm(vector)
    axis = np.array(vector) / norm if norm > 1e-12 else np.array([1.0, 0, 0])
    return _about(axis, 2 * np.arctan2(norm, w))


def _about(axis: np.ndarray, angle: float) -> np.ndarray:
    """Rodrigues' formula."""
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
