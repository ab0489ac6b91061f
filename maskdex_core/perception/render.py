"""Depth images of meshes as a stereo depth camera would give them: noise, shadows, holes.

H, W image rows and columns. Geometry is ray cast by open3d, imported on first use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


class Mesh(Protocol):
    """What is rendered: a trimesh.Trimesh, or anything with its two arrays."""

    @property
    def vertices(self) -> Any: ...

    @property
    def faces(self) -> Any: ...


@dataclass(frozen=True)
class DepthNoise:
    """Errors of a RealSense-class stereo camera. Lengths in metres."""

    baseline: float = 0.055
    """Distance of the second imager: what it cannot see leaves a shadow on one side of the object."""
    axial_floor: float = 0.0003
    axial_quadratic: float = 0.0032
    """Standard deviation of depth z is floor + quadratic · z²; about 1 mm at 0.5 m."""
    correlation: float = 2.0
    """Size of the noise's grain [pixels]."""
    quantum: float = 0.001
    edge_width: int = 2
    """Pixels beside a depth step that are often lost."""
    edge_loss: float = 0.5
    grazing: float = 0.10
    """Surfaces seen under a smaller cosine are lost."""
    blob_share: float = 0.002
    """Share of the pixels lost in random blobs."""
    max_depth: float = 2.0


@dataclass(frozen=True, eq=False)
class Hits:
    """Noise-free ray casting result.

    Attributes:
        depth: (H, W) float64 metres along the optical axis, inf where nothing is hit.
        normals: (H, W, 3) geometric normal in the frame of the meshes.
        mesh: (H, W) index of the mesh hit, -1 for none.
        shadow: (H, W) bool, hidden from the second imager.
    """

    depth: NDArray[np.float64]
    normals: NDArray[np.float32]
    mesh: NDArray[np.int64]
    shadow: NDArray[np.bool_]


def render_depth(
    meshes: Sequence[Mesh],
    K: NDArray[np.floating],
    size: tuple[int, int],
    base_from_camera: NDArray[np.floating],
    rng: np.random.Generator | None,
    noise: DepthNoise | None = None,
) -> NDArray[np.float32]:
    """Render a depth image.

    Args:
        meshes: surfaces in the base frame, metres.
        K: (3, 3) pinhole matrix, pixels.
        size: (H, W).
        base_from_camera: (4, 4); the camera frame is optical (z forward, x right, y down).
        rng: source of the noise, or None for an exact image.

    Returns:
        (H, W) float32 metres along the optical axis, NaN where there is no measurement.
    """
    noise = noise or DepthNoise()
    hits = cast_rays(meshes, K, size, base_from_camera, noise.baseline)
    if rng is None:
        return np.where(np.isfinite(hits.depth), hits.depth, np.nan).astype(np.float32)
    return degrade(hits, K, base_from_camera, rng, noise)


def cast_rays(
    meshes: Sequence[Mesh],
    K: NDArray[np.floating],
    size: tuple[int, int],
    base_from_camera: NDArray[np.floating],
    baseline: float = 0.0,
) -> Hits:
    """Cast one ray a pixel; arguments as in `render_depth`."""
    import open3d

    scene = open3d.t.geometry.RaycastingScene()
    tensor: Any = open3d.core.Tensor
    for mesh in meshes:
        vertices = np.ascontiguousarray(mesh.vertices, dtype=np.float32)
        faces = np.ascontiguousarray(mesh.faces, dtype=np.uint32)
        scene.add_triangles(tensor(vertices), tensor(faces))
    origin = np.asarray(base_from_camera[:3, 3], dtype=np.float64)
    # Directions have unit length along the optical axis, so the ray parameter is the depth.
    directions = pixel_rays(K, size) @ base_from_camera[:3, :3].T
    rays = np.concatenate((np.broadcast_to(origin, directions.shape), directions), axis=-1)
    answer = scene.cast_rays(tensor(rays.astype(np.float32)))
    depth = answer["t_hit"].numpy().astype(np.float64)
    mesh = answer["geometry_ids"].numpy().astype(np.int64)
    mesh[~np.isfinite(depth)] = -1
    shadow = np.zeros(size, bool)
    if baseline:
        points = origin + directions * np.where(np.isfinite(depth), depth, 1.0)[..., None]
        second = origin + baseline * base_from_camera[:3, 0]
        # Stop a little short of the surface, which must not shade itself.
        rays = np.concatenate((np.broadcast_to(second, points.shape), points - second), axis=-1)
        blocked = scene.test_occlusions(tensor(rays.astype(np.float32)), tfar=0.995)
        shadow = blocked.numpy() & np.isfinite(depth)
    return Hits(depth, answer["primitive_normals"].numpy(), mesh, shadow)


def pixel_rays(K: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return (H, W, 3) camera-frame directions through pixel centres, z = 1."""
    height, width = size
    rays = np.ones((height, width, 3))
    rays[..., 0] = (np.arange(width) - K[0, 2]) / K[0, 0]
    rays[..., 1] = ((np.arange(height) - K[1, 2]) / K[1, 1])[:, None]
    return rays


def degrade(
    hits: Hits,
    K: NDArray[np.floating],
    base_from_camera: NDArray[np.floating],
    rng: np.random.Generator,
    noise: DepthNoise,
) -> NDArray[np.float32]:
    """Turn exact hits into a measured depth image, (H, W) float32 metres with NaN holes."""
    size = hits.depth.shape
    known = np.isfinite(hits.depth) & (hits.depth < noise.max_depth)
    depth = np.where(known, hits.depth, noise.max_depth)
    sigma = noise.axial_floor + noise.axial_quadratic * depth**2
    measured = depth + sigma * _grain(rng, size, noise.correlation)
    measured = np.round(measured / noise.quantum) * noise.quantum
    rays = pixel_rays(K, (size[0], size[1])) @ base_from_camera[:3, :3].T
    cosine = np.abs(np.einsum("hwi,hwi->hw", rays, hits.normals)) / np.linalg.norm(rays, axis=-1)
    lost = ~known | hits.shadow | (cosine < noise.grazing)
    lost |= _depth_steps(depth, noise.edge_width) & (rng.random(size) < noise.edge_loss)
    lost |= _blobs(rng, size, noise.blob_share)
    return np.where(lost, np.nan, measured).astype(np.float32)


def _grain(rng: np.random.Generator, size: tuple[int, ...], correlation: float) -> NDArray[np.float64]:
    """Return spatially correlated noise of unit variance."""
    smooth = ndimage.gaussian_filter(rng.standard_normal(size), correlation)
    return smooth / max(float(smooth.std()), 1e-12)


def _depth_steps(depth: NDArray[np.float64], width: int) -> NDArray[np.bool_]:
    """Mark pixels within `width` of a jump in depth (2 cm and more)."""
    inverse = 1.0 / depth  # a slanted plane is linear in inverse depth, so its bend is zero
    bend = np.abs(ndimage.laplace(inverse))
    near = ndimage.binary_dilation(bend > 0.02 * inverse**2, iterations=max(1, width))
    return np.asarray(near, dtype=bool)


def _blobs(rng: np.random.Generator, size: tuple[int, ...], share: float) -> NDArray[np.bool_]:
    if share <= 0:
        return np.zeros(size, bool)
    field = ndimage.gaussian_filter(rng.standard_normal(size), 2.5)
    return field > np.quantile(field, 1 - share)
