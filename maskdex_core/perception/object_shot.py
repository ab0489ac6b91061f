"""One camera's noisy depth image of an object on a table, as far as the object and its surroundings fill it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from maskdex_core.perception.camera import look_at
from maskdex_core.perception.render import DepthNoise, Mesh, cast_rays, degrade, pixel_rays

TABLE_HALF = 3.0  # m


@dataclass(frozen=True)
class Margin:
    """What the image shows beside the object.

    Attributes:
        pixels: so many, whatever they span: depth steps and grains of noise need their surroundings.
        table: m of the table.
        max_pixels: of the image; a larger one is rendered coarser.
    """

    pixels: int = 0
    table: float = 0.0
    max_pixels: int = 60_000


@dataclass(frozen=True, eq=False)
class Shot:
    """What was measured.

    Attributes:
        base_from_camera: (4, 4), optical frame.
        points: (N, 3) m, base frame, of all pixels with a depth, in the image's order.
        on_object: (N,) bool; the others are of the table.
        depth: (N,) m along the optical axis.
    """

    base_from_camera: NDArray[np.float64]
    points: NDArray[np.float64]
    on_object: NDArray[np.bool_]
    depth: NDArray[np.float64]


@dataclass(eq=False)
class _Table:
    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]


def take_shot(
    mesh: Mesh, position: NDArray[np.floating], target: NDArray[np.floating], focal: float, rng: np.random.Generator,
    noise: DepthNoise, margin: Margin,
) -> Shot:  # fmt: skip
    """Render an object that rests on z = 0.

    Args:
        mesh: of the object, base frame. position, target: (3,) m, of the camera and of a point on its axis.
        focal: pixels. rng: of the noise. noise: how the camera errs. margin: what is seen beside the object.
    """
    vertices = np.asarray(mesh.vertices)
    base_from_camera = look_at(position, target)
    K, size, coarser = _window(vertices, base_from_camera, focal, margin)
    # Grains and lost edges are so many pixels of the camera, not of the coarser window.
    scaled = replace(
        noise, correlation=noise.correlation / coarser, edge_width=max(1, round(noise.edge_width / coarser))
    )
    table = _table((vertices.min(0) + vertices.max(0)) / 2)
    hits = cast_rays([mesh, table], K, size, base_from_camera, noise.baseline)
    depth = degrade(hits, K, base_from_camera, rng, scaled)
    seen = np.isfinite(depth)
    rays = pixel_rays(K, size) @ base_from_camera[:3, :3].T
    points = np.asarray(position) + rays[seen] * depth[seen, None]
    return Shot(base_from_camera, points, hits.mesh[seen] == 0, depth[seen].astype(np.float64))


def depth_noise_across(noise: DepthNoise, depth: float, base_from_camera: NDArray[np.float64]) -> float:
    """Return the standard deviation (m) of the table's points across its plane, seen from `depth` m away."""
    return (noise.axial_floor + noise.axial_quadratic * depth**2) * abs(float(base_from_camera[2, 2]))


def _table(middle: NDArray[np.floating]) -> _Table:
    corners = TABLE_HALF * np.array([[-1.0, -1.0, 0.0], [1.0, -1.0, 0.0], [1.0, 1.0, 0.0], [-1.0, 1.0, 0.0]])
    return _Table(corners + np.array([middle[0], middle[1], 0.0]), np.array([[0, 1, 2], [0, 2, 3]]))


def _window(
    vertices: NDArray[np.floating], base_from_camera: NDArray[np.float64], focal: float, margin: Margin
) -> tuple[NDArray[np.float64], tuple[int, int], float]:
    """Return K (3, 3) and size (H, W) of the image about the object, and how much coarser it is made."""
    local = (vertices - base_from_camera[:3, 3]) @ base_from_camera[:3, :3]
    tangents = local[:, :2] / local[:, 2:]
    beside = margin.table / float(local[:, 2].mean())
    low, extent = tangents.min(0) - beside, np.ptp(tangents, axis=0) + 2 * beside
    coarser = max(1.0, float(np.sqrt(np.prod(extent * focal + 2 * margin.pixels) / margin.max_pixels)))
    focal = focal / coarser
    width, height = np.ceil(extent * focal).astype(int) + 2 * margin.pixels
    corner = margin.pixels - focal * low
    K = np.array([[focal, 0.0, corner[0]], [0.0, focal, corner[1]], [0.0, 0.0, 1.0]])
    return K, (int(height), int(width)), coarser
