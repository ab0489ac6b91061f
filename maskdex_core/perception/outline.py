"""What the outline of the visible side says of the whole: its half turn, and the hull of both on the table.

X, Y, Z voxels along base axes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from maskdex_core.errors import CloudError
from maskdex_core.perception.clusters import cell_means, voxel_groups
from maskdex_core.perception.range_view import RangeView
from maskdex_core.perception.segment import Scene


def half_turned(scene: Scene, view: RangeView, agreement: float = 0.92) -> NDArray[np.float64]:
    """Return the object's points and, where what was seen allows it, their copy turned by 180°.

    Most things keep their outline under a half turn about the vertical. The axis lies midway
    between the left and right ends of the silhouette; a turned point the camera saw through
    speaks against it (a mug's handle does), and then the copy is left out.
    """
    _, inverse = voxel_groups(scene.object_points, 0.003)
    seen = cell_means(scene.object_points, inverse, np.bincount(inverse))
    ahead = seen[:, :2].mean(axis=0) - scene.camera_position[:2]
    length = np.linalg.norm(ahead)
    if length < 0.1:  # seen from straight above: the outline is known all around
        return seen
    across = np.array([-ahead[1], ahead[0]]) / length
    lateral, depth = seen[:, :2] @ across, seen[:, :2] @ (ahead / length)
    ends = np.percentile(lateral, (0.3, 99.7), method="nearest")  # of points that are there
    middles = [depth[np.abs(lateral - end) < 0.003] for end in ends]
    axis_depth = float(np.mean([(near.min() + near.max()) / 2 for near in middles]))
    # On a round object the ends seen are nearer than the axis: move it back until nothing speaks
    # against the copy.
    for shift in np.arange(0.0, 0.016, 0.003):
        axis = float(ends.mean()) * across + (axis_depth + shift) * ahead / length
        turned = seen.copy()
        turned[:, :2] = 2 * axis - seen[:, :2]
        behind, _ = view.depth_behind(turned.astype(np.float32))
        allowed = behind > -0.005
        if np.mean(allowed) > agreement:
            return np.concatenate((seen, turned[allowed]))
    return seen


def hull_distance(scene: Scene, seen: NDArray[np.float64], centers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the signed distance (exact inside, a lower bound outside) to the hull on the table."""
    plane = scene.table_plane
    heights = seen @ plane[:3] + plane[3]
    try:
        hull = ConvexHull(np.concatenate((seen, seen - heights[:, None] * plane[:3])))
    except QhullError as error:
        raise CloudError(f"object of {len(seen)} points has no volume: its points lie on a line") from error
    corners = hull.points[hull.vertices]
    normals = _distinct_directions(hull)
    offsets = (corners @ normals.T).max(axis=0)
    distance = np.full(len(centers), -np.inf, np.float32)
    for start in range(0, len(normals), 32):  # in blocks, to stay in the cache
        block = normals[start : start + 32].astype(np.float32)
        reach = (centers @ block.T - offsets[start : start + 32].astype(np.float32)).max(axis=1)
        np.maximum(distance, reach, out=distance)
    return distance


def _distinct_directions(hull: ConvexHull, step: float = 0.2) -> NDArray[np.float64]:
    """Return (F, 3) unit facet normals, those nearly parallel joined by area (noise splits flat faces)."""
    normals = hull.equations[:, :3]
    triangles = hull.points[hull.simplices]
    area = np.linalg.norm(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]), axis=1)
    _, group = np.unique(np.round(normals / step).astype(int), axis=0, return_inverse=True)
    group = group.reshape(-1)
    joined = np.stack([np.bincount(group, weights=area * normals[:, k]) for k in range(3)], axis=1)
    length = np.linalg.norm(joined, axis=1, keepdims=True)
    return joined[length[:, 0] > 0] / length[length[:, 0] > 0]
