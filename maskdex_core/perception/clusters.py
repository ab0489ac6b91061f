"""Split the points above a table into objects: what touches, and what one outline encloses.

V voxels, C clusters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import ConvexHull, KDTree, QhullError


@dataclass(frozen=True)
class ClusterConfig:
    """What counts as one object. Lengths in metres."""

    voxel: float = 0.005
    link: float = 0.012
    """Voxels nearer than this touch."""
    min_voxels: int = 12
    """Smaller clusters are noise."""
    min_share: float = 0.04
    """So are clusters smaller than this share of the largest."""
    min_height: float = 0.012
    hull_margin: float = 0.006
    hull_share: float = 0.3
    """Share of a footprint inside another's convex outline that makes both one object."""
    floating: float = 0.012
    """A cluster that begins this high above the table is hidden below, or a part of something."""
    part_gap: float = 0.045
    """A floating cluster that nothing hides belongs to what is nearer than this: objects do not float."""
    hidden_share: float = 0.15
    """So does one that is hidden, with a smaller share of the other's voxels: a handle, not another thing's top."""
    rim_margin: float = 0.014
    """What lies within the rim of a vessel, give or take this, is the vessel."""
    rim_residual: float = 0.004
    rim_radius: tuple[float, float] = (0.015, 0.2)


def voxel_groups(points: NDArray[np.floating], voxel: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Group points by voxel.

    Returns:
        first (V,) index of one point of each voxel, inverse (N,) voxel of each point.
    """
    if not len(points):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    cells = np.floor(points / voxel).astype(np.int64)
    cells -= cells.min(axis=0)
    size = cells.max(axis=0) + 1
    keys = (cells[:, 0] * size[1] + cells[:, 1]) * size[2] + cells[:, 2]
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return first, inverse


def cell_means(values: NDArray[np.floating], inverse: NDArray[np.intp], count: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the (V, D) mean of (N, D) values in each voxel."""
    sums = [np.bincount(inverse, weights=values[:, k], minlength=len(count)) for k in range(values.shape[1])]
    return np.stack(sums, axis=1) / count[:, None]


def find_objects(
    points: NDArray[np.floating], viewpoint: NDArray[np.floating], config: ClusterConfig | None = None
) -> tuple[NDArray[np.intp], int]:
    """Label points above a table by object.

    Args:
        points: (N, 3) metres, z = height above the table.
        viewpoint: (2,) x, y of the camera.

    Returns:
        labels (N,): 0..C-1 from the most voxels to the fewest, -1 for noise; and C.
    """
    config = config or ClusterConfig()
    if not len(points):
        return np.empty(0, np.intp), 0
    _, inverse = voxel_groups(points, config.voxel)
    count = np.bincount(inverse)
    centers = cell_means(points, inverse, count)  # (V, 3)
    spacing = float(np.median(KDTree(centers).query(centers, k=2)[0][:, 1])) if len(centers) > 1 else 0.0
    link = max(config.link, 2.5 * spacing)
    dense = _dense(centers, count, link)
    groups = _components(centers[dense], link)
    clusters = [np.flatnonzero(dense)[groups == label] for label in range(groups.max(initial=-1) + 1)]
    clusters = [voxels for voxels in clusters if len(voxels) >= config.min_voxels]
    clusters = _drop_noise(_merge(clusters, centers, viewpoint, config), centers, config)
    labels = np.full(len(centers), -1, np.intp)
    for label, voxels in enumerate(clusters):
        labels[voxels] = label
    return labels[inverse], len(clusters)


def _dense(centers: NDArray[np.float64], count: NDArray[np.intp], link: float) -> NDArray[np.bool_]:
    """Mark the voxels that are not flying pixels: those hang alone, in few points."""
    neighbours = KDTree(centers).query_ball_point(centers, link, return_length=True)
    thin = count <= max(1.0, 0.05 * float(np.median(count)))
    return (neighbours > 3) & ~(thin & (neighbours <= 6))


def _components(centers: NDArray[np.float64], link: float) -> NDArray[np.intp]:
    if not len(centers):
        return np.empty(0, np.intp)
    pairs = KDTree(centers).query_pairs(link, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(centers),) * 2)
    return connected_components(graph, directed=False)[1].astype(np.intp)


def _merge(
    clusters: list[NDArray[np.intp]],
    centers: NDArray[np.float64],
    viewpoint: NDArray[np.floating],
    config: ClusterConfig,
) -> list[NDArray[np.intp]]:
    """Join clusters until none belongs to another; the largest first."""
    clusters = sorted(clusters, key=len, reverse=True)
    joined = True
    while joined:
        joined = False
        for a in range(len(clusters)):
            for b in range(len(clusters) - 1, a, -1):
                if _same_object(centers[clusters[a]], centers[clusters[b]], viewpoint, config):
                    clusters[a] = np.concatenate((clusters[a], clusters.pop(b)))
                    joined = True
    return sorted(clusters, key=len, reverse=True)


def _same_object(
    a: NDArray[np.float64], b: NDArray[np.float64], viewpoint: NDArray[np.floating], config: ClusterConfig
) -> bool:
    """Tell whether two clusters are walls or pieces of one object."""
    if max(_share_inside(a, b, config), _share_inside(b, a, config)) >= config.hull_share:
        return True
    if _within_rim(a, b, viewpoint, config) or _within_rim(b, a, viewpoint, config):
        return True
    part, whole = (a, b) if a[:, 2].min() > b[:, 2].min() else (b, a)
    if part[:, 2].min() < config.floating:
        return False
    if len(part) >= config.hidden_share * len(whole) and _hides(whole, part, viewpoint):
        return False
    return float(KDTree(whole).query(part)[0].min()) < config.part_gap


def _within_rim(
    wall: NDArray[np.float64],
    points: NDArray[np.float64],
    viewpoint: NDArray[np.floating],
    config: ClusterConfig,
) -> bool:
    """Tell whether `wall` is the far inner wall of a round vessel and `points` lie within its rim.

    Where a camera loses the rim, the near outer and the far inner wall of a bowl come apart by its
    whole diameter; but the inner wall, seen from inside, tells where the rim runs.
    """
    low, top = np.percentile(wall[:, 2], (2, 98))
    wall = wall[wall[:, 2] > 0.5 * (low + top)]  # below, a bottom may bend into it
    x, y, height = wall.T
    # A cone or bowl about a vertical axis: x² + y² + Dx + Ey + F + G·height = 0.
    terms = np.column_stack((x, y, np.ones_like(x), height))
    coefficients, *_ = np.linalg.lstsq(terms, -(x**2 + y**2), rcond=None)
    center = -coefficients[:2] / 2
    squared = center @ center - coefficients[2] - coefficients[3] * np.append(height, top)
    radii = np.sqrt(np.maximum(squared, 1e-8))
    outward = wall[:, :2] - center
    distance = np.linalg.norm(outward, axis=1)
    if not config.rim_radius[0] < radii[-1] < config.rim_radius[1]:
        return False
    if np.sqrt(np.mean((distance - radii[:-1]) ** 2)) > config.rim_residual:
        return False
    view = wall[:, :2] - viewpoint
    seen_inside = np.einsum("vi,vi->v", outward, view) / (distance * np.linalg.norm(view, axis=1) + 1e-9)
    if np.mean(seen_inside) < 0.3 or points[:, 2].max() > top + config.rim_margin:
        return False
    inside = np.linalg.norm(points[:, :2] - center, axis=1) < radii[-1] + config.rim_margin
    return bool(np.mean(inside) > 0.6)


def _hides(front: NDArray[np.float64], back: NDArray[np.float64], viewpoint: NDArray[np.floating]) -> bool:
    """Tell whether `front` stands between the camera and a good part of `back`."""
    ahead = front[:, :2].mean(axis=0) - viewpoint
    ahead /= max(float(np.linalg.norm(ahead)), 1e-9)
    left = np.array([-ahead[1], ahead[0]])

    def bearings(points: NDArray[np.float64]) -> NDArray[np.float64]:
        offset = points[:, :2] - viewpoint
        return np.arctan2(offset @ left, offset @ ahead)

    low, high = np.percentile(bearings(front), (2, 98))
    angle = bearings(back)
    behind = np.linalg.norm(back[:, :2].mean(axis=0) - viewpoint) > np.linalg.norm(
        front[:, :2].mean(axis=0) - viewpoint
    )
    return bool(behind and np.mean((angle > low) & (angle < high)) > 0.3)


def _share_inside(hull_points: NDArray[np.float64], points: NDArray[np.float64], config: ClusterConfig) -> float:
    """Return the share of points whose footprint lies within the outline of `hull_points`."""
    try:
        equations = ConvexHull(hull_points[:, :2], qhull_options="QJ").equations  # (E, 3)
    except QhullError:
        return 0.0
    outside = (points[:, :2] @ equations[:, :2].T + equations[:, 2]).max(axis=1)
    return float(np.mean(outside < config.hull_margin))


def _drop_noise(
    clusters: list[NDArray[np.intp]], centers: NDArray[np.float64], config: ClusterConfig
) -> list[NDArray[np.intp]]:
    if not clusters:
        return []
    least = config.min_share * len(clusters[0])
    tall = [voxels for voxels in clusters if np.percentile(centers[voxels, 2], 98) >= config.min_height]
    return [voxels for voxels in tall if len(voxels) >= least]
