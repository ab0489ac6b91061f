"""One rendered view of an object on a table, as the deployed path would see it: for training and evaluation.

A stereo camera's noisy depth image, points cut above the table's plane, which is itself a little off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from maskdex_core.perception.camera import look_at
from maskdex_core.perception.render import DepthNoise, Mesh, cast_rays, degrade, pixel_rays
from maskdex_core.perception.segment import Scene, SegmentConfig

TRIES = 24
SURROUNDINGS = 0.06  # m of the table about the object that the camera sees
MAX_PIXELS = 60_000
TABLE_NOISE = 0.0004  # m, standard deviation of the fitted plane's height


@dataclass(frozen=True)
class CameraDraw:
    """Where training cameras stand. Metres, degrees, pixels."""

    elevation: tuple[float, float] = (15.0, 75.0)
    distance: tuple[float, float] = (0.4, 1.0)
    focal: tuple[float, float] = (400.0, 640.0)
    noise: tuple[float, float] = (0.6, 1.6)
    """Factor on the camera's depth noise."""


@dataclass(eq=False)
class _Table:
    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]


def draw_scene(mesh: Mesh, rng: np.random.Generator, draw: CameraDraw | None = None) -> Scene | None:
    """Return what a random camera sees of an object that rests on z = 0; None when no camera sees enough.

    Args:
        mesh: of the object, base frame.
        rng: of camera and noise.
    """
    draw = draw or CameraDraw()
    middle = (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2
    for _ in range(TRIES):
        azimuth, elevation = rng.uniform(0, 2 * np.pi), np.deg2rad(rng.uniform(*draw.elevation))
        level = np.cos(elevation)
        away = np.array([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)])
        noise = _scaled(DepthNoise(), float(rng.uniform(*draw.noise)))
        scene = rendered_scene(
            mesh, middle + rng.uniform(*draw.distance) * away, middle, rng.uniform(*draw.focal), rng, noise
        )
        if scene is not None:
            return scene
    return None


def rendered_scene(
    mesh: Mesh,
    position: NDArray[np.float64],
    target: NDArray[np.float64],
    focal: float,
    rng: np.random.Generator,
    noise: DepthNoise | None = None,
) -> Scene | None:
    """Return what segmentation keeps of an object on a table seen by one camera; None when that is too little.

    Args:
        mesh: at rest on z = 0, base frame. position, target: (3,) m, of the camera and on its axis.
        focal: pixels. rng: of the noise. noise: how the camera errs.
    """
    noise = noise or DepthNoise()
    base_from_camera = look_at(position.tolist(), target.tolist())
    K, size, coarser = _window(np.asarray(mesh.vertices), base_from_camera, focal)
    noise = replace(
        noise, correlation=noise.correlation / coarser, edge_width=max(1, round(noise.edge_width / coarser))
    )
    hits = cast_rays([mesh, _table(middle=target)], K, size, base_from_camera, noise.baseline)
    depth = degrade(hits, K, base_from_camera, rng, noise)
    seen = np.isfinite(depth)
    rays = pixel_rays(K, size) @ base_from_camera[:3, :3].T
    points = (position + rays[seen] * depth[seen, None]).astype(np.float32)
    config = SegmentConfig()
    height = float(rng.normal(0.0, TABLE_NOISE))
    across = (noise.axial_floor + noise.axial_quadratic * np.median(depth[seen]) ** 2) * abs(base_from_camera[2, 2])
    cut = float(np.clip(4 * across, config.min_above, config.max_above)) + height
    chosen = (hits.mesh[seen] == 0) & (points[:, 2] > cut)
    if chosen.sum() < config.min_points:
        return None
    nothing = np.zeros((0, 3), np.float32)
    return Scene(
        base_from_camera=base_from_camera,
        extrinsics_assumed=False,
        table_plane=np.array([0.0, 0.0, 1.0, -height]),
        table_height=height,
        object_points=points[chosen],
        object_indices=np.flatnonzero(chosen),
        camera_position=position,
        scene_points=nothing,
        points=points,
    )


def _scaled(noise: DepthNoise, factor: float) -> DepthNoise:
    return replace(
        noise, axial_floor=factor * noise.axial_floor, axial_quadratic=factor * noise.axial_quadratic,
        edge_loss=min(1.0, factor * noise.edge_loss), blob_share=factor * noise.blob_share,
    )  # fmt: skip


def _table(middle: NDArray[np.float64], half: float = 1.5) -> _Table:
    corners = half * np.array([[-1.0, -1.0, 0.0], [1.0, -1.0, 0.0], [1.0, 1.0, 0.0], [-1.0, 1.0, 0.0]])
    return _Table(corners + np.array([middle[0], middle[1], 0.0]), np.array([[0, 1, 2], [0, 2, 3]]))


def _window(
    vertices: NDArray[np.floating], base_from_camera: NDArray[np.float64], focal: float
) -> tuple[NDArray[np.float64], tuple[int, int], float]:
    """Return K (3, 3) and size (H, W) of the image about the object, and how much coarser it is made."""
    local = (vertices - base_from_camera[:3, 3]) @ base_from_camera[:3, :3]
    tangents = local[:, :2] / local[:, 2:]
    border = SURROUNDINGS / float(local[:, 2].mean())
    low, high = tangents.min(0) - border, tangents.max(0) + border
    coarser = max(1.0, float(np.sqrt(np.prod((high - low) * focal) / MAX_PIXELS)))
    focal = focal / coarser
    width, height = np.ceil((high - low) * focal).astype(int)
    K = np.array([[focal, 0.0, -focal * low[0]], [0.0, focal, -focal * low[1]], [0.0, 0.0, 1.0]])
    return K, (int(height), int(width)), coarser
