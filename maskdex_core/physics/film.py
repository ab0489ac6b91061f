"""Pictures of a simulated world by ray casting: no OpenGL, hence no display and no driver is needed.

H, W pixels of a picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from maskdex_core.perception.camera import look_at
from maskdex_core.perception.render import pixel_rays
from maskdex_core.physics.scene_camera import COLORS, LIGHT, Surface, scene_surfaces

if TYPE_CHECKING:
    from maskdex_core.physics.table_world import TableWorld

INTERVAL = 0.04  # s between two snapshots
SKY = np.array([236.0, 238.0, 241.0])
EYE, TARGET = np.array([1.05, -0.75, 0.62]), np.array([0.32, 0.0, 0.2])  # m
STRIP_FRAMES, STRIP_COLUMNS, STRIP_SIZE, STRIP_RAYS = 8, 4, (255, 340), 2  # rays a pixel and axis
MOVIE_FRAMES, MOVIE_SIZE, MOVIE_PAUSE = 24, (240, 320), 140  # pause in ms
RADIAN = 0.25  # m of way that a radian of a joint counts, where frames are chosen


@dataclass(frozen=True)
class _Snapshot:
    time: float
    qpos: np.ndarray


class Film:
    """Remembers a world as it moves, and draws it afterwards."""

    def __init__(self, world: TableWorld) -> None:
        """Start with the world as it is now."""
        self._world = world
        self._shots = [_Snapshot(world.time, world.data.qpos.copy())]

    def watch(self, world: TableWorld) -> None:
        """Take a snapshot when the last one is old enough."""
        if world.time >= self._shots[-1].time + INTERVAL:
            self._shots.append(_Snapshot(world.time, world.data.qpos.copy()))

    def strip(self, path: Path) -> None:
        """Write some frames from start to end, in rows, with the time of each."""
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        matplotlib.rcParams["font.size"] = 8
        shots = self._chosen(STRIP_FRAMES)
        rows = -(-len(shots) // STRIP_COLUMNS)
        height, width = STRIP_SIZE
        figure = Figure(figsize=(STRIP_COLUMNS * width / 100, rows * height / 100), dpi=100)
        FigureCanvasAgg(figure)
        for index, (shot, picture) in enumerate(zip(shots, self._drawn(shots, STRIP_SIZE, STRIP_RAYS), strict=True)):
            box = (index % STRIP_COLUMNS / STRIP_COLUMNS, 1 - (index // STRIP_COLUMNS + 1) / rows)
            axes = figure.add_axes((*box, 1 / STRIP_COLUMNS, 1 / rows))
            axes.imshow(picture)
            axes.set_axis_off()
            axes.text(8, 16, f"{shot.time - self._shots[0].time:.1f} s", color=(0.2, 0.2, 0.22))
        figure.savefig(path)

    def movie(self, path: Path) -> None:
        """Write an animated GIF."""
        from PIL import Image

        step = max(1, len(self._shots) // MOVIE_FRAMES)
        pictures = [Image.fromarray(picture) for picture in self._drawn(self._shots[::step], MOVIE_SIZE, 1)]
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=MOVIE_PAUSE, loop=0)

    def _chosen(self, count: int) -> list[_Snapshot]:
        """Return snapshots spread evenly over what moved, the first and the last included."""
        states = np.stack([shot.qpos for shot in self._shots])
        way = RADIAN * np.abs(np.diff(states, axis=0)).sum(1) + 1e-6
        passed = np.concatenate([[0.0], np.cumsum(way)])
        marks = np.linspace(0, passed[-1], count)
        rows = np.clip(np.searchsorted(passed, marks - 1e-9), 0, len(states) - 1)
        rows[-1] = len(states) - 1
        return [self._shots[row] for row in np.unique(rows)]

    def _drawn(self, shots: list[_Snapshot], size: tuple[int, int], rays: int) -> list[np.ndarray]:
        """Draw snapshots; the world is left as it was."""
        world, now = self._world, self._world.data.qpos.copy()
        pictures = []
        for shot in shots:
            world.data.qpos[:] = shot.qpos
            world.mujoco.mj_forward(world.model, world.data)
            pictures.append(draw(scene_surfaces(world), size, rays))
        world.data.qpos[:] = now
        world.mujoco.mj_forward(world.model, world.data)
        return pictures


def draw(surfaces: list[Surface], size: tuple[int, int], rays: int = 2) -> np.ndarray:
    """Draw object, table, arm and hand, in this order, as an (H, W, 3) uint8 picture with one soft light.

    Args:
        surfaces: in base. size: H, W. rays: along each axis of a pixel; they are averaged.
    """
    import open3d

    tensor: Any = open3d.core.Tensor
    scene = open3d.t.geometry.RaycastingScene(nthreads=1)
    for surface in surfaces:
        scene.add_triangles(
            tensor(np.ascontiguousarray(surface.vertices, np.float32)),
            tensor(np.ascontiguousarray(surface.faces, np.uint32)),
        )
    height, width = rays * size[0], rays * size[1]
    focal = 1.2 * width
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
    pose = look_at(EYE, TARGET)
    directions = pixel_rays(K, (height, width)) @ pose[:3, :3].T
    origins = np.broadcast_to(pose[:3, 3], directions.shape)
    answer = scene.cast_rays(tensor(np.concatenate([origins, directions], -1).astype(np.float32)), nthreads=1)
    depth, normals = answer["t_hit"].numpy(), answer["primitive_normals"].numpy()
    hit = np.isfinite(depth)
    color = np.where(hit[..., None], COLORS[np.where(hit, answer["geometry_ids"].numpy(), 0)], SKY)
    normals = np.where(((normals * directions).sum(-1) > 0)[..., None], -normals, normals)
    points = origins + directions * np.where(hit, depth, 1.0)[..., None] + 5e-4 * normals
    toward = np.broadcast_to(LIGHT, points.shape)
    blocked = scene.test_occlusions(tensor(np.concatenate([points, toward], -1).astype(np.float32)), nthreads=1)
    lit = np.clip(normals @ LIGHT, 0, 1) * ~blocked.numpy()
    shade = np.where(hit, 0.5 + 0.2 * np.clip(normals[..., 2], 0, 1) + 0.4 * lit, 1.0)
    picture = np.clip(color * shade[..., None], 0, 255)
    return picture.reshape(size[0], rays, size[1], rays, 3).mean((1, 3)).astype(np.uint8)
