"""What the perception tests share: rendered table scenes with known truth, and the real captures."""

from __future__ import annotations

from pathlib import Path

import beside
import numpy as np
import pytest
import trimesh

from maskdex_core.perception.camera import look_at
from maskdex_core.perception.cloud import Cloud
from maskdex_core.perception.files import points_from_depth
from maskdex_core.perception.render import DepthNoise, cast_rays, degrade

K = np.array([[616.0, 0.0, 320.0], [0.0, 616.0, 240.0], [0.0, 0.0, 1.0]])
SIZE = (480, 640)
CAPTURES = ("blue_mug", "cylinder", "green_bowl", "mustard", "sugar")


def real_capture(name: str) -> Path:
    """Return the folder of one real capture, or skip the test."""
    folder = beside.SCENES / name
    if not folder.is_dir():
        pytest.skip(f"real captures are not here ({folder}); set MASKDEX_SHARED to their folder")
    return folder


def revolve(profile: list[tuple[float, float]]) -> trimesh.Trimesh:
    return trimesh.creation.revolve(np.array(profile), sections=64)


def bowl(radius: float = 0.08, height: float = 0.07, wall: float = 0.004, foot: float = 0.03) -> trimesh.Trimesh:
    """A bowl standing on z = 0."""
    steps = np.linspace(0, 1, 20)
    outer = [(foot + (radius - foot) * np.sin(s * np.pi / 2), height * s**1.6) for s in steps]
    inner = [(r - wall, z + wall * (1 - s)) for s, (r, z) in zip(steps, outer, strict=True)][::-1]
    return revolve([(0.0, 0.0), *outer, *inner, (0.0, wall)])


def cup(radius: float = 0.04, height: float = 0.10, wall: float = 0.004) -> trimesh.Trimesh:
    inside = radius - wall
    return revolve([(0, 0), (radius, 0), (radius, height), (inside, height), (inside, wall), (0, wall)])


def box(size: tuple[float, float, float] = (0.06, 0.09, 0.12), yaw: float = 0.4) -> trimesh.Trimesh:
    mesh = trimesh.creation.box(size)
    mesh.apply_translation((0, 0, size[2] / 2))
    mesh.apply_transform(trimesh.transformations.rotation_matrix(yaw, (0, 0, 1)))
    return mesh


def table() -> trimesh.Trimesh:
    mesh = trimesh.creation.box((1.2, 1.2, 0.02))
    mesh.apply_translation((0.45, 0, -0.01))
    return mesh


def signed_distance(mesh: trimesh.Trimesh, points: np.ndarray) -> np.ndarray:
    """(N,) distance of points to a mesh, negative inside, metres."""
    import open3d

    scene = open3d.t.geometry.RaycastingScene()
    scene.add_triangles(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32))
    return scene.compute_signed_distance(open3d.core.Tensor(points.astype(np.float32))).numpy()


def placed(mesh: trimesh.Trimesh, x: float = 0.45, y: float = 0.02) -> trimesh.Trimesh:
    mesh.apply_translation((x, y, 0))
    return mesh


def camera(elevation: float, distance: float = 0.55) -> np.ndarray:
    """base_from_camera looking at (0.45, 0.02, 0.05) from the base's side, `elevation` degrees up."""
    angle = np.deg2rad(elevation)
    offset = np.array([-distance * np.cos(angle), 0.0, distance * np.sin(angle)])
    return look_at(np.array([0.45, 0.02, 0.05]) + offset, (0.45, 0.02, 0.05))


def capture(
    meshes: list[trimesh.Trimesh],
    base_from_camera: np.ndarray,
    seed: int = 0,
    noise: DepthNoise | None = None,
    known_pose: bool = True,
) -> tuple[Cloud, np.ndarray]:
    """Render a noisy cloud; also return the (N,) index of the mesh each point lies on (-1: none)."""
    noise = noise or DepthNoise()
    hits = cast_rays(meshes, K, SIZE, base_from_camera, noise.baseline)
    depth = degrade(hits, K, base_from_camera, np.random.default_rng(seed), noise)
    cloud = Cloud(points_from_depth(depth, K), base_from_camera=base_from_camera if known_pose else None)
    return cloud, np.where(cloud.valid_mask, hits.mesh.reshape(-1), -1)
