"""Find the table: the dominant horizontal plane under the objects.

N points, H plane hypotheses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskdex_core.errors import CloudError

OPTICAL_UP = np.array([0.0, -1.0, 0.0])


@dataclass(frozen=True)
class TableConfig:
    """How the table is looked for."""

    sample: int = 4000
    """Points the hypotheses are scored on."""
    hypotheses: int = 300
    tolerance: float = 0.006
    """Distance of an inlier from its plane [m]; several times the noise of a camera at 0.5 m."""
    min_share: float = 0.15
    """Least share of the cloud that lies on the table."""
    min_size: tuple[float, float] = (0.18, 0.12)
    """Least length and width of the visible table [m]; a box's face is smaller."""
    max_tilt_known: float = np.deg2rad(15.0)
    """Largest tilt of the table against base z when the camera's pose is known [rad]."""
    max_tilt_assumed: float = np.deg2rad(100.0)
    """The same against the image's up direction, when the pose is not known [rad]."""


@dataclass(frozen=True)
class TablePlane:
    """The plane {p : normal · p + offset = 0}; the normal points up, to the camera's side.

    Attributes:
        normal: (3,) unit vector. offset: metres. noise: robust standard deviation of its inliers [m].
        inliers: (N,) bool over the points it was found in.
    """

    normal: NDArray[np.float64]
    offset: float
    noise: float
    inliers: NDArray[np.bool_]

    def heights(self, points: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the signed distance of (N, 3) points above the plane, metres."""
        normal = self.normal.astype(np.float32)
        return points.astype(np.float32, copy=False) @ normal + np.float32(self.offset)


def find_table(
    points: NDArray[np.float32], up: NDArray[np.float64] | None = None, config: TableConfig | None = None
) -> TablePlane:
    """Find the table by RANSAC and refine it by least squares on its inliers.

    An own RANSAC because hypotheses must be level and wide, a result must repeat, and open3d takes
    seconds to import. On a VGA capture it takes 6 ms of one core where open3d's `segment_plane`
    takes 37 ms on the same points, and 6 + 5 ms on a copy thinned to 3 mm.

    Args:
        points: (N, 3) metres, camera frame, finite.
        up: base z in the camera frame when the camera's pose is known.

    Raises:
        CloudError: when no plane is wide, populated and level enough.
    """
    config = config or TableConfig()
    rng = np.random.default_rng(0)
    sample = points[rng.choice(len(points), min(config.sample, len(points)), replace=False)].astype(np.float64)
    axis = OPTICAL_UP if up is None else up
    limit = np.cos(config.max_tilt_assumed if up is None else config.max_tilt_known)
    remaining, found = sample, []
    for _ in range(3):  # the table may be second to a wall or the floor
        if len(remaining) < max(30, config.min_share * len(sample)):
            break
        normal, offset, inside = _best_plane(remaining, axis, float(limit), config, rng)
        if inside.sum() < config.min_share * len(sample):
            break
        if _is_wide(remaining[inside], normal, config.min_size):
            found.append((normal, offset, int(inside.sum())))
        remaining = remaining[~inside]
    if not found:
        raise CloudError(_no_table(len(points), config, up is not None))
    return _refined(points, *_choose(found), config.tolerance)


def _best_plane(
    points: NDArray[np.float64],
    axis: NDArray[np.float64],
    limit: float,
    config: TableConfig,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], float, NDArray[np.bool_]]:
    corners = points[rng.integers(0, len(points), (config.hypotheses, 3))]  # (H, 3, 3)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])  # (H, 3)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = normals / np.maximum(length, 1e-12)
    offsets = -np.einsum("hi,hi->h", normals, corners[:, 0])  # (H,)
    # The camera (origin) is above the table: offset = its height > 0.
    side = np.where(offsets < 0, -1.0, 1.0)
    normals, offsets = normals * side[:, None], offsets * side
    usable = (length[:, 0] > 1e-9) & (normals @ axis >= limit)
    coarse = points[:: max(1, len(points) // 1500)]
    counts = np.count_nonzero(np.abs(coarse @ normals.T + offsets) < config.tolerance, axis=0)
    best = int(np.argmax(np.where(usable, counts, -1)))
    if not usable[best]:
        return normals[best], offsets[best], np.zeros(len(points), bool)
    inside = np.abs(points @ normals[best] + offsets[best]) < config.tolerance
    normal, offset = fit_plane(points[inside])
    if normal @ axis < limit:
        return normal, offset, np.zeros(len(points), bool)
    return normal, offset, np.abs(points @ normal + offset) < config.tolerance


def fit_plane(points: NDArray[np.floating]) -> tuple[NDArray[np.float64], float]:
    """Return the least-squares plane (normal, offset) of (N, 3) points, the origin on its positive side."""
    center = points.mean(axis=0, dtype=np.float64)
    centred = points - center
    _, vectors = np.linalg.eigh(centred.T @ centred)
    normal = vectors[:, 0].astype(np.float64)
    offset = -float(normal @ center)
    return (-normal, -offset) if offset < 0 else (normal, offset)


def _is_wide(points: NDArray[np.float64], normal: NDArray[np.float64], min_size: tuple[float, float]) -> bool:
    """Tell whether inliers spread over enough area (central 96 % along their own axes)."""
    flat = points - points.mean(axis=0)
    flat = flat - np.outer(flat @ normal, normal)
    _, axes = np.linalg.eigh(flat.T @ flat)
    low, high = np.percentile(flat @ axes[:, 1:], (2, 98), axis=0)
    width, length = np.sort(high - low)
    return bool(length >= min_size[0] and width >= min_size[1])


def _choose(found: list[tuple[NDArray[np.float64], float, int]]) -> tuple[NDArray[np.float64], float]:
    """Take the most populated plane, or a level one well above it (a table over the floor)."""
    found = sorted(found, key=lambda plane: -plane[2])
    normal, offset, _ = found[0]
    for other, other_offset, _ in found[1:]:
        parallel = float(normal @ other) > np.cos(np.deg2rad(8.0))
        if parallel and 0.3 < offset - other_offset < 1.3:
            return other, other_offset
    return normal, offset


def _refined(points: NDArray[np.float32], normal: NDArray[np.float64], offset: float, tolerance: float) -> TablePlane:
    """Refit on all points, then measure the noise."""
    thinned = points[:: max(1, len(points) // 40000)]
    for band in (tolerance, 0.7 * tolerance):
        distance = thinned @ normal.astype(np.float32) + np.float32(offset)
        normal, offset = fit_plane(thinned[np.abs(distance) < band])
    distance = points @ normal.astype(np.float32) + np.float32(offset)
    inliers = np.abs(distance) < tolerance
    noise = 1.4826 * float(np.median(np.abs(distance[inliers][::7])))
    return TablePlane(normal, offset, noise, inliers)


def _no_table(count: int, config: TableConfig, level: bool) -> str:
    kind = "level plane" if level else "plane"
    length, width = config.min_size
    return (
        f"no table was found: among {count} points no {kind} of at least {length:.2f} x {width:.2f} m "
        f"holds {config.min_share:.0%} of them"
    )
