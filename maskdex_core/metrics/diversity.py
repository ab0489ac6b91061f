"""How different grasps are from each other.

Legend: G grasps, J joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

BINS = 100  # ceiling ln 100 = 4.605 nats


@dataclass(frozen=True)
class DuplicateRule:
    """When two grasps on one object count as the same: all three within their limit.

    Attributes:
        translation: m between palms. rotation: rad between palms. joint: rad, largest difference.
    """

    translation: float = 0.005
    rotation: float = float(np.deg2rad(5.0))
    joint: float = 0.1


def joint_entropy(joints: np.ndarray, lower: np.ndarray, upper: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Return the entropy of each joint's histogram over its limits.

    Args:
        joints: (G, J) rad; values outside the limits count in the outermost bins.
        lower, upper: (J,) rad.
        bins: of equal width across the limits.

    Returns:
        (J,) nats, 0 for a joint that never moves, at most ln(bins).
    """
    entropy = np.zeros(joints.shape[1])
    for column in range(joints.shape[1]):
        low, high = lower[column], upper[column]
        counts, _ = np.histogram(np.clip(joints[:, column], low, high), bins=bins, range=(low, high))
        share = counts[counts > 0] / max(1, counts.sum())
        entropy[column] = -(share * np.log(share)).sum()
    return np.abs(entropy)  # -0.0 where nothing moves


def duplicates(
    joints: np.ndarray,
    palm_rotation: np.ndarray,
    palm_translation: np.ndarray,
    objects: Sequence[int] | np.ndarray,
    rule: DuplicateRule | None = None,
) -> np.ndarray:
    """Return (G,) bool: which grasps have another one on the same object that counts as the same.

    Args:
        joints: (G, J) rad. palm_rotation: (G, 3, 3). palm_translation: (G, 3) m.
        objects: (G,) which object.
        rule: limits.
    """
    rule = rule or DuplicateRule()
    objects = np.asarray(objects)
    found = np.zeros(len(joints), dtype=bool)
    for name in np.unique(objects):
        rows = np.flatnonzero(objects == name)
        pairs = KDTree(palm_translation[rows]).query_pairs(rule.translation, output_type="ndarray")
        first, second = rows[pairs[:, 0]], rows[pairs[:, 1]]
        bent = np.abs(joints[first] - joints[second]).max(-1, initial=0.0)
        first, second = first[bent <= rule.joint], second[bent <= rule.joint]
        trace = np.einsum("gij,gij->g", palm_rotation[first], palm_rotation[second])
        same = np.arccos(np.clip((trace - 1) / 2, -1, 1)) <= rule.rotation
        found[first[same]] = found[second[same]] = True
    return found
