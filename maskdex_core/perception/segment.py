"""From a cloud to the scene a grasp is planned in: the table and the one object on it.

N cloud points, V valid ones, M points of the object, S points of everything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from maskdex_core.errors import CloudError
from maskdex_core.perception.cloud import Cloud
from maskdex_core.perception.clusters import ClusterConfig, find_objects, voxel_groups
from maskdex_core.perception.table import TableConfig, TablePlane, find_table


class NothingStands(CloudError):
    """There is a table, and nothing on it that could be meant."""


@dataclass(frozen=True)
class SegmentConfig:
    """How the object is separated. Lengths in metres."""

    min_above: float = 0.005
    max_above: float = 0.010
    """The threshold over the table is four times the plane's noise, between these two."""
    ceiling: float = 0.6
    """Higher points belong to no object on the table."""
    max_range: float = 1.5
    """Farther points (horizontally, from the base) are not looked at."""
    reach: float = 0.85
    """Horizontal distance from the base within which objects can be meant."""
    max_extent: float = 0.5
    """Larger clusters (a wall, a person, the robot) are not objects."""
    min_points: int = 60
    scene_voxel: float = 0.01
    table: TableConfig = field(default_factory=TableConfig)
    clusters: ClusterConfig = field(default_factory=ClusterConfig)


@dataclass(frozen=True, eq=False)
class Scene:
    """What perception knows of one capture, in the base frame (metres).

    Attributes:
        base_from_camera: (4, 4) float64, given or assumed.
        extrinsics_assumed: True when the base was put at the camera's foot on the table: z along the
            table's normal, x along the viewing direction.
        table_plane: (4,) a, b, c, d of a·x + b·y + c·z + d = 0, unit normal up.
        table_height: z of the table below the object.
        object_points: (M, 3) float32.
        object_indices: (M,) rows of `cloud.points`.
        camera_position: (3,) float64.
        scene_points: (S, 3) float32, everything but the object, thinned to 1 cm (for collision),
            within 3 m.
        points: (V, 3) float32, every valid point (for free space).
    """

    base_from_camera: NDArray[np.float64]
    extrinsics_assumed: bool
    table_plane: NDArray[np.float64]
    table_height: float
    object_points: NDArray[np.float32]
    object_indices: NDArray[np.intp]
    camera_position: NDArray[np.float64]
    scene_points: NDArray[np.float32]
    points: NDArray[np.float32]

    @property
    def object_centroid(self) -> NDArray[np.float32]:
        """(3,) mean of the object's points."""
        return self.object_points.mean(axis=0)

    @property
    def object_extent(self) -> NDArray[np.float32]:
        """(3,) size of the object's bounding box along base axes."""
        return self.object_points.max(axis=0) - self.object_points.min(axis=0)


def segment(cloud: Cloud, object_near: Sequence[float] | None = None, config: SegmentConfig | None = None) -> Scene:
    """Find the table and the object on it.

    Args:
        cloud: one capture.
        object_near: x, y, z in base; where several objects stand in reach, the nearest to it is taken.

    Raises:
        CloudError: when there is no table, no object (`NothingStands`), or more than one and no `object_near`.
    """
    config = config or SegmentConfig()
    near = None if object_near is None else _checked_near(object_near)
    indices = np.flatnonzero(cloud.valid_mask)
    camera_points = cloud.points[indices]
    up = None if cloud.base_from_camera is None else cloud.base_from_camera[2, :3]
    table = find_table(camera_points, up, config.table)
    base_from_camera = assumed_base(table) if cloud.base_from_camera is None else cloud.base_from_camera
    rotation, translation = (
        base_from_camera[:3, :3].astype(np.float32),
        base_from_camera[:3, 3].astype(np.float32),
    )
    points = camera_points @ rotation.T + translation
    heights = table.heights(camera_points)
    above = np.flatnonzero(_above_table(points, heights, table, config))
    standing = _standing(points[above], heights[above])
    labels, count = find_objects(standing, base_from_camera[:2, 3], config.clusters)
    candidates = [above[labels == label] for label in range(count)]
    chosen = _choose(candidates, points, points[table.inliers], near, config)
    return _scene(cloud, points, indices, chosen, table, base_from_camera, config)


def assumed_base(table: TablePlane) -> NDArray[np.float64]:
    """Return base_from_camera with the base at the camera's foot, z up, x along the view."""
    z = table.normal
    view = np.array([0.0, 0.0, 1.0])
    if abs(z @ view) > 0.985:  # looking straight down: the image's up direction is ahead
        view = np.array([0.0, -1.0, 0.0])
    x = view - (view @ z) * z
    x /= np.linalg.norm(x)
    transform = np.eye(4)
    transform[:3, :3] = np.stack((x, np.cross(z, x), z))
    transform[2, 3] = table.offset
    return transform


def _checked_near(values: Sequence[float]) -> NDArray[np.float64]:
    near = np.asarray(values, dtype=np.float64)
    if near.shape != (3,) or not np.isfinite(near).all():
        raise CloudError(f"object_near is {list(values)}; expected three finite numbers x y z in base (metres)")
    return near


def _above_table(
    points: NDArray[np.float32], heights: NDArray[np.float32], table: TablePlane, config: SegmentConfig
) -> NDArray[np.bool_]:
    threshold = float(np.clip(4 * table.noise, config.min_above, config.max_above))
    near = points[:, 0] ** 2 + points[:, 1] ** 2 < config.max_range**2
    return (heights > threshold) & (heights < config.ceiling) & near


def _standing(points: NDArray[np.float32], heights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Replace base z by the height over the table."""
    return np.column_stack((points[:, :2], heights))


def _choose(
    candidates: list[NDArray[np.intp]],
    points: NDArray[np.float32],
    table_points: NDArray[np.float32],
    near: NDArray[np.float64] | None,
    config: SegmentConfig,
) -> NDArray[np.intp]:
    """Return the indices of the one object that is meant."""
    usable = [c for c in candidates if len(c) >= config.min_points]
    usable = [c for c in usable if np.ptp(points[c], axis=0).max() <= config.max_extent]
    usable = [c for c in usable if _on_table(points[c], table_points)]
    if not usable:
        raise NothingStands(
            f"no object stands on the table ({len(candidates)} clusters above it, none of at least "
            f"{config.min_points} points, at most {config.max_extent} m across, and within its edges)"
        )
    centroids = np.array([points[c].mean(axis=0) for c in usable])
    if near is not None:
        return usable[int(np.argmin(np.linalg.norm(centroids - near, axis=1)))]
    reachable = np.flatnonzero(np.linalg.norm(centroids[:, :2], axis=1) <= config.reach)
    if len(reachable) == 0:
        reachable = np.arange(len(usable))
    if len(reachable) > 1:
        places = ", ".join("({:.2f}, {:.2f}, {:.2f})".format(*centroids[i]) for i in reachable)
        raise CloudError(
            f"{len(reachable)} objects stand on the table, at {places} in base: "
            "choose one with object_near (on the command line --object-near X Y Z; the nearest is taken)"
        )
    return usable[int(reachable[0])]


def _on_table(points: NDArray[np.float32], table_points: NDArray[np.float32]) -> bool:
    """Tell whether an object's middle lies within the outline of the visible table."""
    thinned = table_points[:: max(1, len(table_points) // 3000), :2]
    try:
        equations = ConvexHull(thinned).equations
    except QhullError:
        return True
    middle = points[:, :2].mean(axis=0)
    return bool((equations[:, :2] @ middle + equations[:, 2]).max() < 0.03)


def _scene(
    cloud: Cloud,
    points: NDArray[np.float32],
    indices: NDArray[np.intp],
    chosen: NDArray[np.intp],
    table: TablePlane,
    base_from_camera: NDArray[np.float64],
    config: SegmentConfig,
) -> Scene:
    camera = base_from_camera[:3, 3].copy()
    object_points = points[chosen]
    normal = base_from_camera[:3, :3] @ table.normal
    offset = table.offset - float(normal @ camera)
    center = object_points[:, :2].mean(axis=0)
    rest = np.ones(len(points), bool)
    rest[chosen] = False
    rest &= np.abs(points).max(axis=1) < 2 * config.max_range
    others = points[rest]
    first, _ = voxel_groups(others, config.scene_voxel)
    return Scene(
        base_from_camera=base_from_camera,
        extrinsics_assumed=cloud.base_from_camera is None,
        table_plane=np.append(normal, offset),
        table_height=float(-(normal[:2] @ center + offset) / normal[2]),
        object_points=object_points,
        object_indices=indices[chosen],
        camera_position=camera,
        scene_points=others[first],
        points=points,
    )
