"""Close the unseen side of an object: what one camera saw, made into a signed distance field.

The object is taken to fill the convex hull of its visible points, of their half turn about the
vertical where nothing speaks against it, and of the projection of both on the table, less every
place the camera saw through (space carving). Hollows it looked into stay hollow.

X, Y, Z voxels along base axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from maskdex_core.errors import CloudError
from maskdex_core.perception.clusters import cell_means, voxel_groups
from maskdex_core.perception.range_view import RangeView
from maskdex_core.perception.segment import Scene

MAX_VOXELS = 8_000_000


@dataclass(frozen=True, eq=False)
class ClosedGeometry:
    """A closed object as a signed distance field in the base frame.

    Attributes:
        sdf: (X, Y, Z) float32 metres, negative inside, at voxel centres.
        origin: (3,) centre of voxel (0, 0, 0). spacing: metres between centres.
        visible: (X, Y, Z) bool, near a point the camera measured; elsewhere the surface is a guess.
    """

    sdf: NDArray[np.float32]
    origin: NDArray[np.float64]
    spacing: float
    visible: NDArray[np.bool_] | None = None

    @property
    def volume(self) -> float:
        """Enclosed volume, m³."""
        # A voxel the surface crosses counts for the share of it that lies inside.
        share = np.clip(0.5 - self.sdf / self.spacing, 0.0, 1.0)
        return float(share.sum(dtype=np.float64) * self.spacing**3)

    def distance(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the signed distance at (N, 3) points in base, metres; outside the grid its edge's value."""
        return _interpolate(self.sdf, (np.asarray(points) - self.origin) / self.spacing)


def close_geometry(scene: Scene, spacing: float = 0.004, margin: float = 0.03, wall: float = 0.005) -> ClosedGeometry:
    """Close the object of a scene.

    Args:
        scene: result of `segment`.
        spacing: voxel size, metres.
        margin: free border around the object, metres.
        wall: least thickness behind a visible surface, metres.

    Raises:
        CloudError: when the object has no volume (all points on a line) or needs too many voxels.
    """
    view = RangeView.of_scene(scene)
    outline = _half_turned(scene, view)
    origin, shape = _grid(outline, scene, spacing, margin)
    centers = _centers(origin, shape, spacing)
    hull = _hull_distance(scene, outline, centers)
    behind, on_object = view.depth_behind(centers)
    # Implicit surface, negative inside: inside the hull and not in front of what was seen; but a
    # measured wall is at least `wall` thick even where the hull ends sooner.
    solid = np.maximum(hull, -behind)
    measured = np.maximum(np.maximum(-behind, behind - wall), hull - wall)
    implicit = np.where(on_object, np.minimum(solid, measured), solid)
    table = scene.table_plane
    below = -(centers @ table[:3].astype(np.float32) + np.float32(table[3]))
    implicit = np.maximum(implicit, below).reshape(shape)
    sdf = _redistance(np.clip(implicit, -spacing, spacing), spacing)
    return ClosedGeometry(sdf, origin, spacing, _near_points(scene.object_points, origin, shape, spacing))


def _grid(
    points: NDArray[np.floating], scene: Scene, spacing: float, margin: float
) -> tuple[NDArray[np.float64], tuple[int, int, int]]:
    low = points.min(axis=0).astype(np.float64)
    high = points.max(axis=0).astype(np.float64)
    low[2] = min(low[2], scene.table_height)
    count = np.ceil((high - low + 2 * margin) / spacing).astype(int) + 1
    if count.prod() > MAX_VOXELS:
        size = " x ".join(f"{length:.2f}" for length in high - low)
        raise CloudError(f"object of {size} m needs {count.prod()} voxels of {spacing} m; at most {MAX_VOXELS}")
    return low - margin, (int(count[0]), int(count[1]), int(count[2]))


def _centers(origin: NDArray[np.float64], shape: tuple[int, ...], spacing: float) -> NDArray[np.float32]:
    axes = [origin[k] + spacing * np.arange(shape[k]) for k in range(3)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.float32)


def _half_turned(scene: Scene, view: RangeView, agreement: float = 0.92) -> NDArray[np.float64]:
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
    ends = np.percentile(lateral, (0.3, 99.7))
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


def _hull_distance(scene: Scene, seen: NDArray[np.float64], centers: NDArray[np.float32]) -> NDArray[np.float32]:
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


def _redistance(implicit: NDArray[np.float32], spacing: float) -> NDArray[np.float32]:
    """Turn an implicit function into a signed distance, keeping its sub-voxel zero crossings."""
    if not (implicit < 0).any():
        raise CloudError("the object closed to no volume: nothing solid lies behind its visible points")
    crossing_sum, crossing_count = _crossings(implicit)
    border = crossing_count > 0
    crossing = crossing_sum / np.maximum(crossing_count, 1)[..., None]  # (X, Y, Z, 3) voxel units
    nearest = ndimage.distance_transform_edt(~border, return_distances=False, return_indices=True)
    index = tuple(np.asarray(nearest))
    cells = np.moveaxis(np.indices(implicit.shape), 0, -1)
    offset = cells - crossing[index]
    distance = np.linalg.norm(offset, axis=-1)
    # Close to the surface the nearest crossing says too much (it is one sample of a plane): there
    # the distance to that plane counts.
    smooth = ndimage.gaussian_filter(implicit, 1.0)
    gradient = np.stack(np.gradient(smooth), axis=-1)
    gradient /= np.maximum(np.linalg.norm(gradient, axis=-1, keepdims=True), 1e-9)
    to_plane = np.abs(np.einsum("...i,...i->...", offset, gradient[index]))
    weight = np.clip((distance - 1.0) / 1.5, 0.0, 1.0)
    distance = weight * distance + (1 - weight) * to_plane
    signed = np.where(implicit < 0, -distance, distance) * spacing
    return ndimage.gaussian_filter(signed, 0.5).astype(np.float32)


def _crossings(implicit: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return for each voxel the sum and number of zero crossings on the edges that meet in it."""
    total = np.zeros((*implicit.shape, 3))
    count = np.zeros(implicit.shape, np.intp)
    inside = implicit < 0
    for axis in range(3):
        low = np.argwhere(np.diff(inside, axis=axis))
        high = low.copy()
        high[:, axis] += 1
        a, b = implicit[tuple(low.T)], implicit[tuple(high.T)]
        point = low.astype(np.float64)
        point[:, axis] += a / (a - b)
        for end in (low, high):  # along one axis a voxel is at most once the low and once the high end
            total[tuple(end.T)] += point
            count[tuple(end.T)] += 1
    return total, count


def _near_points(
    points: NDArray[np.float32], origin: NDArray[np.float64], shape: tuple[int, ...], spacing: float
) -> NDArray[np.bool_]:
    cells = np.round((points - origin) / spacing).astype(int)
    visible = np.zeros(shape, bool)
    visible[tuple(cells.T)] = True
    return np.asarray(ndimage.binary_dilation(visible, np.ones((3, 3, 3), bool)), dtype=bool)


def surface_points(closed: ClosedGeometry, n: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sample the surface of a closed object.

    Points start on the grid edges the surface crosses (nearly uniform by area) and slide along the
    gradient onto sdf = 0.

    Args:
        closed: the object. n: number of points. seed: of the choice.

    Returns:
        points (n, 3) float32 in base, metres; outward normals (n, 3) float32, unit.
    """
    total, count = _crossings(closed.sdf)
    border = count > 0
    if not border.any():
        raise CloudError("the closed object has no surface to sample")
    start = total[border] / count[border][:, None]
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(start))[:n] if len(start) >= n else rng.integers(0, len(start), n)
    cells = start[rows] + rng.uniform(-0.5, 0.5, (n, 3))
    gradient = np.asarray(np.gradient(closed.sdf, closed.spacing))
    for _ in range(4):
        slope = np.stack([_interpolate(gradient[k], cells) for k in range(3)], axis=1)
        value = _interpolate(closed.sdf, cells)
        step = value[:, None] * slope / np.maximum((slope**2).sum(axis=1, keepdims=True), 0.25)
        cells = cells - np.clip(step / closed.spacing, -1.0, 1.0)
    slope = np.stack([_interpolate(gradient[k], cells) for k in range(3)], axis=1)
    normals = slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-9)
    return (closed.origin + cells * closed.spacing).astype(np.float32), normals.astype(np.float32)


def _interpolate(grid: NDArray[np.float32], cells: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the trilinear value of a grid at (N, 3) fractional cell coordinates."""
    return ndimage.map_coordinates(grid, cells.T, order=1, mode="nearest", output=np.float64)
