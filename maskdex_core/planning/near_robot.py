"""What a camera saw near the robot: the robot itself, or something that stands there and must not pass for it.

Index legend: R points near the robot, F of them that are not its own surface, M points of the object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from maskdex_core.errors import CloudError
from maskdex_core.perception.cloud import Cloud
from maskdex_core.perception.clusters import ClusterConfig, find_objects, voxel_groups
from maskdex_core.perception.segment import NothingStands, Scene, segment
from maskdex_core.perception.table import find_table

SELF_MARGIN = 0.03  # m round the robot that are looked at as the robot: its pose and the camera's are not exact
SURFACE = 0.012  # m outside the robot's shapes up to which points are its surface: rendered ones lie within 8 mm
SLACK = 0.02  # m inside the shapes, deeper than which they do not stick out of any link: nothing is seen there
ABOVE = 0.01  # m over the table, below which points are the table
FOOT = 0.05  # m over the table below which a thing that stands begins; a thing in the hand begins higher
AROUND = 0.3  # m about them in which the pieces of a thing are looked for
CLUSTERS = ClusterConfig()


@dataclass(frozen=True, eq=False)
class NearRobot:
    """Points near the robot: rows (R,) of the cloud, points (R, 3) m in base, distance (R,) m, robot's part (R,)."""

    rows: np.ndarray
    points: np.ndarray
    distance: np.ndarray
    part: np.ndarray

    @staticmethod
    def nothing() -> NearRobot:
        """Return that no point is near."""
        return NearRobot(np.zeros(0, np.intp), np.zeros((0, 3), np.float32), np.zeros(0), np.zeros(0, str))

    def left_out_of(self, cloud: Cloud) -> Cloud:
        """Return a cloud without these points."""
        if len(self.rows) == 0:
            return cloud
        kept = cloud.points.copy()
        kept[self.rows] = np.nan
        return replace(cloud, points=kept)

    def not_itself(self) -> NearRobot:
        """Return the points (F) that are not the robot's own surface as a camera sees it."""
        other = (self.distance > SURFACE) | (self.distance < -SLACK)
        return NearRobot(*(array[other] for array in (self.rows, self.points, self.distance, self.part)))


def segment_beside(near: NearRobot, cloud: Cloud, object_near: Sequence[float] | None) -> Scene:
    """Find the table and the object on it in a cloud of which `near` may be the robot.

    Raises:
        CloudError: as `segment`; and when the object, or what would be it, stands so near the robot that its points
            cannot be told from the robot's.
    """
    clear, other = near.left_out_of(cloud), near.not_itself()
    try:
        scene = segment(clear, object_near)
    except NothingStands:
        _refuse_what_stands(other, clear)
        raise
    if len(other.rows):
        _refuse_cut_object(other, scene, object_near)
    return scene


def _refuse_what_stands(other: NearRobot, clear: Cloud) -> None:
    """Refuse when what stands on the table was looked at as the robot."""
    pose = clear.base_from_camera
    if pose is None or len(other.rows) == 0:  # without a pose nothing is near
        return
    labels, heights, count = _labelled(other, _table_plane(clear, pose), pose[:2, 3], np.zeros((0, 3)))
    for label in range(count):
        chosen = labels == label
        if heights[chosen].min() < FOOT and _is_thing(other.points[chosen]):
            raise CloudError(_sentence(other, chosen))


def _table_plane(clear: Cloud, pose: np.ndarray) -> np.ndarray:
    """Return (4,) a, b, c, d of the table in base."""
    table = find_table(clear.valid_points(), pose[2, :3])
    normal = pose[:3, :3] @ table.normal
    return np.append(normal, table.offset - normal @ pose[:3, 3])


def _refuse_cut_object(other: NearRobot, scene: Scene, object_near: Sequence[float] | None) -> None:
    """Refuse when the object goes on where the robot is, or what `object_near` means is there."""
    labels, heights, count = _labelled(other, scene.table_plane, scene.camera_position[:2], scene.object_points)
    beside, of_object = labels[: len(other.rows)], labels[len(other.rows) :]
    away = np.inf if object_near is None else float(np.linalg.norm(scene.object_centroid - object_near))
    for label in range(count):
        chosen = beside == label
        if not _is_thing(other.points[chosen]):
            continue
        goes_on = bool((of_object == label).any())
        standing = heights[: len(beside)][chosen].min() < FOOT
        meant = object_near is not None and np.linalg.norm(other.points[chosen].mean(axis=0) - object_near) < away
        if goes_on or (standing and meant):
            raise CloudError(_sentence(other, chosen))


def _labelled(
    other: NearRobot, plane: np.ndarray, viewpoint: np.ndarray, object_points: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return labels and heights (F + M,) of the points beside the robot and the object's, and the number of labels."""
    points = np.concatenate([other.points, object_points])
    heights = points @ plane[:3] + plane[3]
    above = heights > ABOVE
    labels = np.full(len(points), -1, np.intp)
    found, count = find_objects(np.column_stack([points[above, :2], heights[above]]), viewpoint, CLUSTERS)
    labels[above] = found
    return labels, heights, count


def _is_thing(points: np.ndarray) -> bool:
    """Tell whether points are more than noise."""
    return len(voxel_groups(points, CLUSTERS.voxel)[0]) >= CLUSTERS.min_voxels


def _sentence(other: NearRobot, chosen: np.ndarray) -> str:
    nearest = int(np.flatnonzero(chosen)[np.argmin(other.distance[chosen])])
    where = "inside" if other.distance[nearest] < -SLACK else f"within {100 * SELF_MARGIN:g} cm of"
    return (
        f"the object stands {where} {other.part[nearest]}, where its points cannot be told from the robot's: "
        "move the object or the robot; where nothing stands there, check the camera's pose"
    )
