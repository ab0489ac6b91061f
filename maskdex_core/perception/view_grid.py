"""What one view says of an object's shape, voxel by voxel: the completion network's input.

The grid looks along the camera's bearing: x away from the camera, z off the table. Hidden is then always
behind, whatever stands in front of which camera. Voxels are as small as a fixed number of them allows.

X, Y, Z voxels of the grid; N places; C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskdex_core.perception.distance_field import redistance
from maskdex_core.perception.outline import half_turned, hull_distance
from maskdex_core.perception.range_view import RangeView
from maskdex_core.perception.segment import Scene

VOXELS = 44_000
FINEST = 0.0025  # m; finer than a camera's noise buys nothing
BORDER = 3  # free voxels about the outline
MULTIPLE = 8  # each side is one: the network halves it three times
BAND = 4.0  # voxels; distances farther from the surface are cut off
DEEPER = 0.4  # of the width: how far behind the outline the hidden side is looked for, in the camera's shadow
WALL = 0.005  # m, least thickness behind a visible surface, for the rule that the network starts from
CHANNELS = 9


@dataclass(frozen=True, eq=False)
class ViewGrid:
    """Voxels about an object, turned to the camera.

    Attributes:
        axes: (3, 3) rows: grid x (level, away from the camera), y, z (the table's normal), in base.
        origin: (3,) m in base, centre of voxel (0, 0, 0).
        shape: X, Y, Z. spacing: m between centres.
    """

    axes: NDArray[np.float64]
    origin: NDArray[np.float64]
    shape: tuple[int, int, int]
    spacing: float

    def centers(self, step: int = 1) -> NDArray[np.float32]:
        """Return (N, 3) m in base, the centres of all voxels, or of blocks of `step` of them."""
        lines = [step * np.arange(count // step) + (step - 1) / 2 for count in self.shape]
        cells = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, 3)
        return self.places(cells).astype(np.float32)

    def places(self, cells: NDArray[np.number]) -> NDArray[np.float64]:
        """Return (N, 3) m in base, the places of (N, 3) fractional voxel coordinates."""
        return self.origin + self.spacing * (cells.astype(np.float64) @ self.axes)

    def cells(self, places: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return (N, 3) fractional voxel coordinates of places (N, 3) m in base."""
        return (places - self.origin) @ self.axes.T / self.spacing


@dataclass(frozen=True, eq=False)
class ViewVoxels:
    """What the network reads.

    Attributes:
        grid: the voxels. outline: (N, 3) m in base, seen points and their accepted half turn.
        channels: (C, X, Y, Z) float32; the first is the rule's signed distance in bands (`BAND` voxels).
    """

    grid: ViewGrid
    outline: NDArray[np.float64]
    channels: NDArray[np.float32]

    @property
    def behind(self) -> NDArray[np.float32]:
        """(X, Y, Z) bands along the ray behind what was seen there, negative in free space; 1 where unknown."""
        return self.channels[2]

    @property
    def on_object(self) -> NDArray[np.bool_]:
        """(X, Y, Z) whether the object is what was seen there."""
        return self.channels[4] > 0


def view_voxels(scene: Scene) -> ViewVoxels:
    """Turn a scene's object into the network's input.

    Raises:
        CloudError: when the object has no volume (all points on a line, or nothing solid behind them).
    """
    view = RangeView.of_scene(scene)
    outline = half_turned(scene, view)
    grid = view_grid(scene, outline)
    centers = grid.centers()
    behind, on_object = view.depth_behind(centers)
    hull = _hull(scene, outline, grid)
    height = (centers @ scene.table_plane[:3].astype(np.float32) + np.float32(scene.table_plane[3])).astype(np.float32)
    measured = np.maximum(np.maximum(-behind, behind - WALL), hull - WALL)
    solid = np.maximum(hull, -behind)
    implicit = np.maximum(np.where(on_object, np.minimum(solid, measured), solid), -height)
    known = np.isfinite(behind)
    steepness = _steepness(scene, grid)
    h = grid.spacing
    # Along a ray is farther than straight to the surface: as a distance the guess is a third less wrong.
    rule = redistance(np.clip(implicit, -h, h).reshape(grid.shape), h).reshape(-1)
    rows = (
        _banded(rule, h), _banded(hull, 2 * h), np.where(known, _banded(behind, h), 1.0), known, on_object,
        _banded(height, h), height / 0.1, np.full_like(height, h / 0.005), np.full_like(height, steepness),
    )  # fmt: skip
    channels = np.stack([np.asarray(row, np.float32).reshape(grid.shape) for row in rows])
    return ViewVoxels(grid, outline, channels)


def view_grid(scene: Scene, outline: NDArray[np.floating]) -> ViewGrid:
    """Lay the grid about the outline, and behind it as far as the object may hide.

    Args:
        scene: result of `segment`. outline: (N, 3) m in base.
    """
    up = scene.table_plane[:3] / np.linalg.norm(scene.table_plane[:3])
    axes = _axes(scene.object_centroid - scene.camera_position, up)
    foot = -scene.table_plane[3] * up
    places = (outline - foot) @ axes.T
    low, high = places.min(axis=0), places.max(axis=0)
    low[2] = 0.0
    high[0] = max(high[0], min(_shadow_end(scene, axes, foot), high[0] + DEEPER * (high[1] - low[1])))
    spacing = FINEST
    for _ in range(4):  # the border is so many voxels
        size = high - low + 2 * BORDER * spacing
        spacing = max(FINEST, float(np.prod(size) / VOXELS) ** (1 / 3))
    count = np.ceil((high - low) / spacing + 2 * BORDER).astype(int)
    count += -count % MULTIPLE
    corner = (low + high) / 2 - spacing * (count - 1) / 2
    corner[2] = -1.5 * spacing  # below the table nothing needs to be known
    return ViewGrid(axes, foot + corner @ axes, (int(count[0]), int(count[1]), int(count[2])), spacing)


def _axes(ahead: NDArray[np.floating], up: NDArray[np.float64]) -> NDArray[np.float64]:
    level = ahead - (ahead @ up) * up
    if np.linalg.norm(level) < 1e-3:  # seen from straight above: any bearing will do
        level = np.array([1.0, 0.0, 0.0]) - up[0] * up
    x = level / np.linalg.norm(level)
    return np.stack((x, np.cross(up, x), up))


def _shadow_end(scene: Scene, axes: NDArray[np.float64], foot: NDArray[np.float64]) -> float:
    """Return how far away (grid x, m) the object's shadow reaches on the table, the camera being the lamp."""
    points = (scene.object_points - foot) @ axes.T
    camera = axes @ (scene.camera_position - foot)
    drop = np.maximum(camera[2] - points[:, 2], 1e-3)
    ends = points[:, 0] + (points[:, 0] - camera[0]) * points[:, 2] / drop
    return float(np.percentile(ends, 99.5))


def _steepness(scene: Scene, grid: ViewGrid) -> float:
    """Return by how much the view looks down, rad."""
    along = scene.camera_position - scene.object_centroid
    return float(np.arcsin(np.clip(along @ grid.axes[2] / np.linalg.norm(along), 0.0, 1.0)))


def _hull(scene: Scene, outline: NDArray[np.float64], grid: ViewGrid) -> NDArray[np.float32]:
    """Return the hull's distance (N,) at all centres; it bends little, so that every other voxel is asked."""
    coarse = hull_distance(scene, outline, grid.centers(2)).reshape([count // 2 for count in grid.shape])
    lines = [np.arange(count) / 2 - 0.25 for count in grid.shape]
    for axis, line in enumerate(lines):
        coarse = _between(coarse, axis, line)
    return coarse.reshape(-1)


def _between(values: NDArray[np.float32], axis: int, places: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return values read linearly at fractional places along one axis, extended beyond its ends."""
    first = np.clip(np.floor(places).astype(int), 0, values.shape[axis] - 2)
    share = (places - first).astype(np.float32).reshape([-1 if k == axis else 1 for k in range(3)])
    return (values.take(first, axis) * (1 - share) + values.take(first + 1, axis) * share).astype(np.float32)


def _banded(distance: NDArray[np.float32], spacing: float) -> NDArray[np.float32]:
    return np.clip(distance / (BAND * spacing), -1.0, 1.0).astype(np.float32)
