"""DexGraspNet's Shadow grasps in our convention, and back.

DexGraspNet counts joints from 0 at the fingertip and turns four of them the other way; its palm frame
(`robot0:palm`) is our `rh_palm`. Its hand model differs a little from ours: the thumb is mounted 0.42 mm
lower, and the little finger's metacarpal turns about another axis, which moves that finger's tip by 1.7 to
1.9 mm. Index, middle and ring finger coincide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from transforms3d.euler import euler2mat, mat2euler

from maskdex_core.errors import DatasetError, unknown_choice

PREFIX = "robot0:"
_FINGERS = {"FF": 4, "MF": 4, "RF": 4, "LF": 5, "TH": 5}  # joints of each, counted from the fingertip
JOINT_NAMES = tuple(f"{finger}J{number}" for finger, count in _FINGERS.items() for number in range(count, 0, -1))
"""The 22 joints in the order of the arrays here: Shadow Robot's names, base to tip."""

FLIPPED = ("FFJ4", "MFJ4", "THJ2", "THJ1")
"""Joints whose axis DexGraspNet turns the other way."""

THEIR_NAMES = tuple(f"{PREFIX}{name[:3]}{int(name[3]) - 1}" for name in JOINT_NAMES)
SIGNS = np.array([-1.0 if name in FLIPPED else 1.0 for name in JOINT_NAMES])
TRANSLATION_NAMES = ("WRJTx", "WRJTy", "WRJTz")
ROTATION_NAMES = ("WRJRx", "WRJRy", "WRJRz")
_ALL_NAMES = (*THEIR_NAMES, *TRANSLATION_NAMES, *ROTATION_NAMES)


def from_dexgraspnet(qpos: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Convert one grasp from DexGraspNet's names, signs and Euler angles.

    Args:
        qpos: `robot0:*` joint angles and `WRJR*` extrinsic xyz Euler angles in rad, `WRJT*` in m.

    Returns:
        joints (22,) in rad in `JOINT_NAMES` order, palm rotation (3, 3) and palm translation (3,) in m,
        both object_from_palm. Values are not clipped: our joint limits are wider.

    Raises:
        DatasetError: when a value is missing, unknown or not a finite number.
    """
    for name in qpos:
        if name not in _ALL_NAMES:
            raise DatasetError(f"DexGraspNet grasp: {unknown_choice('joint', name, _ALL_NAMES)}")
    joints = SIGNS * _values(qpos, THEIR_NAMES)
    rotation = euler2mat(*_values(qpos, ROTATION_NAMES), axes="sxyz")
    return joints, rotation, _values(qpos, TRANSLATION_NAMES)


def to_dexgraspnet(
    joints: Sequence[float] | np.ndarray, palm_rotation: np.ndarray, palm_translation: np.ndarray
) -> dict[str, float]:
    """Convert one grasp to DexGraspNet's names, signs and Euler angles; the inverse of `from_dexgraspnet`.

    Args:
        joints: (22,) rad, `JOINT_NAMES` order.
        palm_rotation: (3, 3) object_from_palm. palm_translation: (3,) m.

    Raises:
        DatasetError: when a shape is wrong or a value is not finite.
    """
    shapes = {"joints": (joints, (22,)), "palm_rotation": (palm_rotation, (3, 3)),
              "palm_translation": (palm_translation, (3,))}  # fmt: skip
    for name, (value, shape) in shapes.items():
        if np.shape(value) != shape or not np.isfinite(value).all():
            raise DatasetError(f"grasp: {name} has shape {np.shape(value)}; expected {shape} finite numbers")
    numbers = [
        *(SIGNS * np.asarray(joints, np.float64)),
        *palm_translation,
        *mat2euler(palm_rotation, axes="sxyz"),
    ]
    return {name: float(number) for name, number in zip(_ALL_NAMES, numbers, strict=True)}


def _values(qpos: Mapping[str, float], names: Sequence[str]) -> np.ndarray:
    for name in names:
        if name not in qpos:
            raise DatasetError(f"DexGraspNet grasp: {name!r} is missing")
        value = qpos[name]
        if not np.isscalar(value) or isinstance(value, str) or not np.isfinite(value):
            raise DatasetError(f"DexGraspNet grasp: {name!r} is {value!r}; expected a finite number")
    return np.array([float(qpos[name]) for name in names])
