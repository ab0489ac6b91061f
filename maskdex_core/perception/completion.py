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

from maskdex_core.errors import CloudError
from maskdex_core.perception.distance_field import crossings, interpolate, redistance
from maskdex_core.perception.outline import half_turned, hull_distance
from maskdex_core.perception.range_view import RangeView
from maskdex_core.perception.segment import Scene

MAX_VOXELS = 8_000_000


@dataclass(frozen=True, eq=False)
class ClosedGeometry:
    """A closed object as a signed distance field in the base frame.

    Attributes:
        sdf: (X, Y, Z) float32 metres, negative inside, at voxel centres.
        origin: (3,) centre of voxel (0, 0, 0). spacing: metres between centres.
        error: (X, Y, Z) float32 metres, how far off the distance is expected to be, where that is known.
    """

    sdf: NDArray[np.float32]
    origin: NDArray[np.float64]
    spacing: float
    error: NDArray[np.float32] | None = None

    @property
    def volume(self) -> float:
        """Enclosed volume, m³."""
        # A voxel the surface crosses counts for the share of it that lies inside.
        share = np.clip(0.5 - self.sdf / self.spacing, 0.0, 1.0)
        return float(share.sum(dtype=np.float64) * self.spacing**3)

    def distance(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the signed distance at (N, 3) points in base, metres; outside the grid its edge's value."""
        return interpolate(self.sdf, (np.asarray(points) - self.origin) / self.spacing)


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
    outline = half_turned(scene, view)
    origin, shape = _grid(outline, scene, spacing, margin)
    centers = voxel_centers(origin, shape, spacing)
    hull = hull_distance(scene, outline, centers)
    behind, on_object = view.depth_behind(centers)
    # Implicit surface, negative inside: inside the hull and not in front of what was seen; but a
    # measured wall is at least `wall` thick even where the hull ends sooner.
    solid = np.maximum(hull, -behind)
    measured = np.maximum(np.maximum(-behind, behind - wall), hull - wall)
    implicit = np.where(on_object, np.minimum(solid, measured), solid)
    table = scene.table_plane
    below = -(centers @ table[:3].astype(np.float32) + np.float32(table[3]))
    implicit = np.maximum(implicit, below).reshape(shape)
    sdf = redistance(np.clip(implicit, -spacing, spacing), spacing)
    return ClosedGeometry(sdf, origin, spacing)


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


def voxel_centers(origin: NDArray[np.float64], shape: tuple[int, ...], spacing: float) -> NDArray[np.float32]:
    """Return (X·Y·Z, 3) m in base, the centres of a grid's voxels."""
    axes = [origin[k] + spacing * np.arange(shape[k]) for k in range(3)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.float32)


def surface_points(closed: ClosedGeometry, n: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sample the surface of a closed object.

    Points start on the grid edges the surface crosses (nearly uniform by area) and slide along the
    gradient onto sdf = 0.

    Args:
        closed: the object. n: number of points. seed: of the choice.

    Returns:
        points (n, 3) float32 in base, metres; outward normals (n, 3) float32, unit.
    """
    total, count = crossings(closed.sdf)
    border = count > 0
    if not border.any():
        raise CloudError("the closed object has no surface to sample")
    start = total[border] / count[border][:, None]
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(start))[:n] if len(start) >= n else rng.integers(0, len(start), n)
    cells = start[rows] + rng.uniform(-0.5, 0.5, (n, 3))
    gradient = np.asarray(np.gradient(closed.sdf, closed.spacing))
    for _ in range(4):
        slope = np.stack([interpolate(gradient[k], cells) for k in range(3)], axis=1)
        value = interpolate(closed.sdf, cells)
        step = value[:, None] * slope / np.maximum((slope**2).sum(axis=1, keepdims=True), 0.25)
        cells = cells - np.clip(step / closed.spacing, -1.0, 1.0)
    slope = np.stack([interpolate(gradient[k], cells) for k in range(3)], axis=1)
    normals = slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-9)
    return (closed.origin + cells * closed.spacing).astype(np.float32), normals.astype(np.float32)
