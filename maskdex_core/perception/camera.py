"""Where a camera stands and looks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

STEEP = 0.999  # of a unit vector's z; what looks so far up or down has no horizon to stand upright on


def look_at(
    position: Sequence[float] | NDArray[np.floating], target: Sequence[float] | NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return base_from_camera (4, 4) of an upright optical frame: z forward, x right, y down.

    Args:
        position, target: (3,) m in base; of the camera, and of what its axis meets.
    """
    forward = np.asarray(target, np.float64) - np.asarray(position, np.float64)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, (0.0, 0.0, 1.0) if abs(forward[2]) < STEEP else (1.0, 0.0, 0.0))
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.column_stack((right, np.cross(forward, right), forward))
    pose[:3, 3] = position
    return pose
