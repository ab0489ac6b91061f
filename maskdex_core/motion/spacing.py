"""Where on a motion collisions are looked for: so often that no point of the robot passes far between two looks.

Index legend: T configurations, K looks.
"""

from __future__ import annotations

import numpy as np

from maskdex_core.motion.collision import CollisionModel


def looks(
    model: CollisionModel, arm_positions: np.ndarray, hand_positions: np.ndarray, at: np.ndarray, step: float
) -> np.ndarray:
    """Return instants (K,) of a motion, both ends included, between which no point moves more than `step` m.

    Args:
        arm_positions: (T, 7) rad, hand_positions: (T, J) rad, near enough to each other that every point of
            the robot moves about straight from one to the next.
        at: (T,) increasing: time, or share of the way, of each configuration.
        step: m.
    """
    posed = model.pose(arm_positions, hand_positions)
    points = np.concatenate([posed.start, posed.end, posed.spheres], axis=1)  # all shapes are rigid about these
    way = np.linalg.norm(np.diff(points, axis=0), axis=2).max(axis=1, initial=0.0)
    passed = np.concatenate([[0.0], np.cumsum(way)])
    count = max(int(np.ceil(passed[-1] / step)) + 1, 2)
    # a robot that stands still adds nothing to the way: those instants are looked at once
    moving = np.concatenate([[True], np.diff(passed) > 0.0])
    marks = np.interp(np.linspace(0.0, passed[-1], count), passed[moving], at[moving])
    return np.unique(np.concatenate([marks, at[[0, -1]]]))
