"""All objects on one picture, at rest on the table, each part in its colour.

H, W pixels, F triangles, N rays.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from maskdex_core.objects.meshes.annotated_mesh import AnnotatedMesh
from maskdex_core.objects.object_model import ObjectModel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BODY = "#cdb99b"
PALETTE = (
    "#4a86bd", "#e07b39", "#4f9d69", "#c44e52", "#8672b5", "#c9a227", "#da8bc3", "#4fb3bf", "#8c6d4f", "#7f8c8d",
)  # fmt: skip
TILE = 240  # pixels a side
ELEVATION, AZIMUTH = np.deg2rad(28.0), np.deg2rad(-58.0)  # of the camera
LIGHT = np.array([0.25, -0.55, 0.8]) / np.linalg.norm([0.25, -0.55, 0.8])
TABLE, BACKGROUND = np.array([0.90, 0.89, 0.87]), np.array([1.0, 1.0, 1.0])
ROOM = 1.12  # of the object's size
COLUMNS = 10
INCHES = 1.75  # a tile's width on the sheet
AHEAD = 10.0  # m; the rays start this far before the object


def object_sheet(targets: Sequence[ObjectModel | AnnotatedMesh], path: Path) -> None:
    """Draw objects into a picture file, with name, size and the names of the parts in their colours.

    Args:
        targets: at least one. path: .png, .svg or .pdf.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(targets))
    rows = -(-len(targets) // columns)
    figure = Figure(figsize=(INCHES * columns, 1.35 * INCHES * rows))
    FigureCanvasAgg(figure)  # draws without a display and without pyplot's global state
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1, wspace=0, hspace=0)
    for index, target in enumerate(targets):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.set_axis_off()
        axes.set_xlim(0, 1)
        axes.set_ylim(-0.35, 1)
        axes.imshow(render_object(target), extent=(0, 1, 0, 1), aspect="auto", zorder=0)
        _caption(axes, target)
    figure.savefig(str(path), dpi=TILE / INCHES)


def render_object(
    target: ObjectModel | AnnotatedMesh, azimuth: float = AZIMUTH, elevation: float = ELEVATION, size: int = TILE
) -> np.ndarray:
    """Return a picture (H, W, 3) in 0…1 of an object on the table, without perspective.

    Args:
        target: the object. azimuth, elevation: rad, where the camera is. size: pixels H and W.
    """
    import open3d
    from matplotlib.colors import to_rgb

    o3d: Any = open3d
    vertices, faces, owner = _triangles(target)
    scene = o3d.t.geometry.RaycastingScene(nthreads=1)
    scene.add_triangles(vertices.astype(np.float32), faces.astype(np.uint32))
    start, toward = _rays(vertices, azimuth, elevation, size)
    rays = np.concatenate([start, np.broadcast_to(toward, start.shape)], 1).astype(np.float32)
    found = scene.cast_rays(o3d.core.Tensor(rays), nthreads=1)
    depth = found["t_hit"].numpy()
    hit = np.isfinite(depth)
    points = start[hit] + depth[hit, None] * toward
    part = target.part_of(points) if isinstance(target, AnnotatedMesh) else owner[found["primitive_ids"].numpy()[hit]]
    colors = np.array([to_rgb(color) for color in part_colors(target)])[part]
    picture = _table(start, toward, vertices)
    shade = 0.45 + 0.55 * np.clip(found["primitive_normals"].numpy()[hit] @ LIGHT, 0, 1)
    picture[hit] = np.clip(colors * shade[:, None] * 1.1, 0, 1)
    return picture.reshape(size, size, 3)


def part_colors(target: ObjectModel | AnnotatedMesh) -> list[str]:
    """Return a colour for each part of an object; bodies are always the same quiet one."""
    others = [name for name in target.part_names if name != "body"]
    return [BODY if name == "body" else PALETTE[others.index(name) % len(PALETTE)] for name in target.part_names]


def _triangles(target: ObjectModel | AnnotatedMesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return vertices (V, 3), faces (F, 3) and the part (F,) of each face; the mesh's are told by point instead."""
    if isinstance(target, AnnotatedMesh):
        faces = np.asarray(target.mesh.faces)
        return np.asarray(target.mesh.vertices), faces, np.zeros(len(faces), int)
    first = np.cumsum([0, *(len(piece.vertices) for piece in target.pieces)])
    faces = np.concatenate([piece.faces + at for piece, at in zip(target.pieces, first[:-1], strict=True)])
    owner = np.concatenate([np.full(len(piece.faces), piece.part) for piece in target.pieces])
    return np.concatenate([piece.vertices for piece in target.pieces]), faces, owner


def _rays(vertices: np.ndarray, azimuth: float, elevation: float, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where parallel rays start (N, 3), row by row from the top left, and their direction (3,)."""
    back = np.array(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
    )  # towards the camera
    right = np.array([-np.sin(azimuth), np.cos(azimuth), 0.0])
    upward = np.cross(back, right)
    flat = vertices @ np.stack([right, upward], 1)
    middle, half = (flat.min(0) + flat.max(0)) / 2, ROOM * (flat.max(0) - flat.min(0)).max() / 2
    step = ((np.arange(size) + 0.5) / size * 2 - 1) * half
    across, above = np.meshgrid(middle[0] + step, middle[1] - step)
    start = across.reshape(-1, 1) * right + above.reshape(-1, 1) * upward + AHEAD * back
    return start, -back


def _table(start: np.ndarray, toward: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Return the picture (N, 3) of a round table under the object."""
    ground = start - start[:, 2:] / toward[2] * toward
    middle = (vertices.min(0) + vertices.max(0))[:2] / 2
    radius = 1.05 * np.linalg.norm(vertices[:, :2] - middle, axis=1).max()
    on_table = np.linalg.norm(ground[:, :2] - middle, axis=1) < radius
    return np.where(on_table[:, None], TABLE, BACKGROUND)


def _caption(axes: Axes, target: ObjectModel | AnnotatedMesh) -> None:
    size = " x ".join(f"{100 * side:.0f}" for side in target.bounds[1] - target.bounds[0])
    axes.text(0.5, -0.01, target.name, ha="center", va="top", fontsize=7.5)
    axes.text(0.5, -0.105, f"{target.family}, {size} cm", ha="center", va="top", fontsize=6.5, color="#555555")
    names, colors = target.part_names, part_colors(target)
    width = [len(name) + 2 for name in names]
    at = 0.5 - sum(width) * 0.019
    for name, color, letters in zip(names, colors, width, strict=True):
        axes.text(at, -0.19, name, ha="left", va="top", fontsize=7, color=color, weight="bold")
        at += letters * 0.038
