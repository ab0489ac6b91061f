"""The demo's capture: a mug of our own on a table, rendered as a depth camera would see it.

`python -m maskdex_core.data.demo_scene FOLDER` writes FOLDER/bag again.
"""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from maskdex_core.data.bag_writer import Capture, write_bag
from maskdex_core.perception.camera import look_at
from maskdex_core.perception.render import DepthNoise, Hits, cast_rays, degrade, pixel_rays

if TYPE_CHECKING:
    import trimesh

log = logging.getLogger(__name__)

TEXT = "drink from the mug"
SIZE = (240, 424)  # rows, columns
K = np.array([[430.0, 0.0, 212.0], [0.0, 430.0, 120.0], [0.0, 0.0, 1.0]])
MUG_POSITION = (0.45, 0.05, 0.0)  # [m] base
MUG_YAW = np.deg2rad(-72.0)  # the handle points to the camera's right and a little to it
CAMERA_POSITION = (-0.05, 0.05, 0.45)
MUG_COLOR, TABLE_COLOR = (58, 92, 160), (142, 106, 76)
LIGHT = np.array([-0.35, 0.5, 0.8]) / np.linalg.norm([-0.35, 0.5, 0.8])


def mug_mesh(
    radius: float = 0.040, height: float = 0.095, wall: float = 0.0035, bottom: float = 0.005
) -> trimesh.Trimesh:
    """Return a watertight mug standing on z = 0, handle along +x, metres."""
    import trimesh

    foot = 0.86 * radius
    outer = [[0, 0], [foot, 0], [0.96 * radius, 0.25 * height], [radius, height]]
    inner = [
        [radius - wall, height],
        [0.96 * radius - wall, 0.25 * height],
        [foot - wall, bottom],
        [0, bottom],
    ]
    body = trimesh.creation.revolve(np.array(outer + inner, dtype=float), sections=96)
    solid = trimesh.creation.revolve(np.array([*outer, [0, height]], dtype=float), sections=96)
    ring = trimesh.creation.torus(major_radius=0.028, minor_radius=0.0055, major_sections=64, minor_sections=24)
    # The ring stands upright, a little taller than wide and flattened to a strap.
    turn = trimesh.transformations.rotation_matrix(np.pi / 2, (1, 0, 0))
    ring.apply_transform(turn)
    ring.apply_scale((1.1, 1.2, 1.15))
    ring.apply_translation((radius, 0.0, 0.53 * height))
    handle = trimesh.boolean.difference([ring, solid], engine="manifold")
    return trimesh.boolean.union([body, handle], engine="manifold")


def table_mesh() -> trimesh.Trimesh:
    """Return the table: its top is z = 0, its far edge in view."""
    import trimesh

    box = trimesh.creation.box((1.15, 1.5, 0.03))
    box.apply_translation((0.40, 0.0, -0.015))
    return box


def scene_meshes() -> list[trimesh.Trimesh]:
    """Return [mug, table] in base."""
    import trimesh

    mug = mug_mesh()
    mug.apply_transform(trimesh.transformations.rotation_matrix(MUG_YAW, (0, 0, 1)))
    mug.apply_translation(MUG_POSITION)
    return [mug, table_mesh()]


def demo_capture(seed: int = 7) -> Capture:
    """Render the scene once."""
    rng = np.random.default_rng(seed)
    base_from_camera = look_at(CAMERA_POSITION, (0.47, 0.05, 0.03))
    hits = cast_rays(scene_meshes(), K, SIZE, base_from_camera, DepthNoise().baseline)
    # Fewer speckles than at full resolution: each would be larger on the object.
    depth = degrade(hits, K, base_from_camera, rng, DepthNoise(edge_width=1, blob_share=0.0015))
    return Capture(depth, _shade(hits, base_from_camera, rng), K, base_from_camera, TEXT)


def _shade(hits: Hits, base_from_camera: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a plain colour image: wooden table, glazed mug, one soft light."""
    rays = pixel_rays(K, SIZE) @ base_from_camera[:3, :3].T
    depth = np.where(np.isfinite(hits.depth), hits.depth, 0.0)[..., None]
    points = base_from_camera[:3, 3] + rays * depth
    facing = np.einsum("hwi,hwi->hw", hits.normals, rays) > 0
    normals = np.where(facing[..., None], -hits.normals, hits.normals)
    light = 0.45 + 0.55 * np.clip(normals @ LIGHT, 0, 1)
    boards = 0.06 * np.sin(60 * points[..., 1] + 3 * np.sin(4 * points[..., 0]))
    boards -= 0.25 * (np.abs((points[..., 1] / 0.14) % 1.0) < 0.015)
    table = np.asarray(TABLE_COLOR) * (1 + boards)[..., None]
    # The mug darkens the table it stands on.
    away = np.linalg.norm(points[..., :2] - MUG_POSITION[:2], axis=-1)
    table = table * (1 - 0.45 * np.exp(-(np.clip(away - 0.03, 0, None) / 0.02)))[..., None]
    color = np.where((hits.mesh == 0)[..., None], np.asarray(MUG_COLOR), table) * light[..., None]
    color = np.where((hits.mesh < 0)[..., None], (176, 178, 180), color)
    return np.clip(color + rng.normal(0, 1.0, color.shape), 0, 255).astype(np.uint8)


def write_demo_scene(folder: str | Path, repeats: int = 3, seed: int = 7) -> Path:
    """Write FOLDER/bag (replacing it) with one capture repeated, and return its path."""
    bag = Path(folder) / "bag"
    if bag.exists():
        shutil.rmtree(bag)
    bag.parent.mkdir(parents=True, exist_ok=True)
    write_bag(bag, [demo_capture(seed)] * repeats)
    return bag


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the demo scene into the folder given, `data/demo_scene` by default."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    given = list(sys.argv[1:] if arguments is None else arguments)
    bag = write_demo_scene(given[0] if given else Path("data") / "demo_scene")
    size = sum(file.stat().st_size for file in bag.iterdir())
    log.info("%s: %.2f MB", bag, size / 1e6)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
