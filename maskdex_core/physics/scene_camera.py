"""A RealSense-class depth camera beside the table: it sees table, object and robot, with holes and noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from maskdex_core.perception.camera import look_at
from maskdex_core.perception.cloud import Cloud
from maskdex_core.perception.render import DepthNoise, Hits, cast_rays, degrade, pixel_rays

if TYPE_CHECKING:
    from maskdex_core.physics.table_world import TableWorld

FRAME = "camera_depth_optical_frame"
COLORS = np.array([[58, 92, 160], [150, 116, 84], [214, 216, 220], [70, 74, 82]], float)  # object, table, arm, hand
LIGHT = np.array([0.35, -0.55, 0.9]) / np.linalg.norm([0.35, -0.55, 0.9])


@dataclass(frozen=True)
class Surface:
    """What is seen of a thing: `vertices` (V, 3) m in base, `faces` (F, 3)."""

    vertices: np.ndarray
    faces: np.ndarray


@dataclass(frozen=True, eq=False)
class SceneCamera:
    """One camera in front of the robot.

    Attributes:
        base_from_camera: (4, 4), optical frame.
        K: (3, 3) pixels. size: rows, columns.
        noise: how it errs.
    """

    base_from_camera: np.ndarray
    K: np.ndarray
    size: tuple[int, int]
    noise: DepthNoise

    @staticmethod
    def at(position: np.ndarray, target: np.ndarray, size: tuple[int, int] = (480, 640)) -> SceneCamera:
        """Return a camera of a RealSense's view at `position` (3,) m that looks at `target` (3,) m."""
        focal = 0.96 * size[1]
        K = np.array([[focal, 0, (size[1] - 1) / 2], [0, focal, (size[0] - 1) / 2], [0, 0, 1.0]])
        return SceneCamera(look_at(position, target), K, size, DepthNoise())

    def cloud(self, world: TableWorld, rng: np.random.Generator) -> Cloud:
        """Return what the camera measures now: an organised cloud (H·W points, row by row), NaN where nothing is.

        Its colours are those of object, table, arm and hand under one soft light; black where no ray meets anything.
        """
        hits = cast_rays(scene_surfaces(world), self.K, self.size, self.base_from_camera, self.noise.baseline)
        depth = degrade(hits, self.K, self.base_from_camera, rng, self.noise)
        rays = pixel_rays(self.K, self.size)
        points, colors = rays * depth[..., None], _shaded(hits, rays @ self.base_from_camera[:3, :3].T)
        flat = (array.reshape(-1, 3).astype(np.float32) for array in (points, colors))
        return Cloud(*flat, frame=FRAME, base_from_camera=self.base_from_camera)


def _shaded(hits: Hits, rays: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) colours 0..1 of what rays (H, W, 3) in base met."""
    away = np.einsum("hwi,hwi->hw", hits.normals, rays) > 0
    normals = np.where(away[..., None], -hits.normals, hits.normals)
    light = 0.5 + 0.5 * np.clip(normals @ LIGHT, 0, 1)
    met = hits.mesh >= 0
    return np.where(met[..., None], COLORS[np.where(met, hits.mesh, 0)] / 255 * light[..., None], 0.0)


def scene_surfaces(world: TableWorld) -> list[Surface]:
    """Return what stands in a world now, in base: object, table, arm, hand."""
    return [_placed(object_surface(world.target), world.object_pose), _table(world), *robot_surfaces(world)]


def object_surface(target: Any) -> Surface:
    """Return what cameras see of an object, its own frame: its mesh, or the pieces that it is made of."""
    mesh = getattr(target, "mesh", None)
    if mesh is not None:
        return Surface(np.asarray(mesh.vertices, float), np.asarray(mesh.faces))
    return _joined([(piece.vertices, piece.faces) for piece in target.pieces])


def robot_surfaces(world: TableWorld) -> list[Surface]:
    """Return arm and hand where they are now, in base."""
    surfaces = []
    for skins in world.skins:
        poses = [world.link_pose(link) for link, _ in skins]
        placed = [triangles @ pose[:3, :3].T + pose[:3, 3] for (_, triangles), pose in zip(skins, poses, strict=True)]
        corners = np.concatenate(placed).reshape(-1, 3)
        surfaces.append(Surface(corners, np.arange(len(corners)).reshape(-1, 3)))
    return surfaces


def _table(world: TableWorld) -> Surface:
    import trimesh

    geom = world.model.geom("table")
    box = trimesh.creation.box(2 * np.asarray(geom.size))
    return Surface(np.asarray(box.vertices) + geom.pos, np.asarray(box.faces))


def _placed(surface: Surface, pose: np.ndarray) -> Surface:
    return Surface(surface.vertices @ pose[:3, :3].T + pose[:3, 3], surface.faces)


def _joined(parts: list[tuple[np.ndarray, np.ndarray]]) -> Surface:
    offsets = np.cumsum([0, *(len(vertices) for vertices, _ in parts[:-1])])
    faces = [faces + offset for (_, faces), offset in zip(parts, offsets, strict=True)]
    return Surface(np.concatenate([vertices for vertices, _ in parts]), np.concatenate(faces))
