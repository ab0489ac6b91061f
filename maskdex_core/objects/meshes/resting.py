"""How an object comes to rest on a table."""

from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull

MAX_ROLLS = 200


def rest_rotation(vertices: np.ndarray, center_of_mass: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Return the rotation (3, 3) from the mesh's frame to one in which the object rests on a face of its hull.

    Let go with `up` pointing up, the object rolls onto the hull's face under its centre of mass until that face
    lies flat. Each roll lowers the centre of mass, so that it ends.

    Args:
        vertices: (V, 3) m. center_of_mass: (3,) m. up: (3,), need not be a unit vector.
    """
    planes = ConvexHull(vertices).equations
    height = -(planes[:, :3] @ center_of_mass + planes[:, 3])  # (H,) m from the centre to each face's plane
    down = -np.asarray(up, float) / np.linalg.norm(up)
    for _ in range(MAX_ROLLS):
        toward = planes[:, :3] @ down
        distance = np.where(toward > 1e-9, height / np.maximum(toward, 1e-9), np.inf)
        lower = planes[int(distance.argmin()), :3]
        if lower @ down > 1 - 1e-12:
            break
        down = lower
    return rotation_to_z(-down)


def rotation_to_z(direction: np.ndarray) -> np.ndarray:
    """Return the least rotation (3, 3) that takes a unit direction (3,) to +z."""
    x, y, z = direction
    if z < -1 + 1e-9:
        return np.diag([1.0, -1.0, -1.0])
    scale = 1 / (1 + z)
    return np.array([[1 - x * x * scale, -x * y * scale, -x], [-x * y * scale, 1 - y * y * scale, -y], [x, y, z]])
