"""Single-view partial clouds of objects at rest on a table, rendered as the deployed pipeline would see them.

The network at deployment reads the points that one depth camera measured on the object and that segmentation
kept: neither completed nor smoothed, as dense as the image's pixels, in the axes of the base. A view here goes
the same way: a stereo camera's depth image (`maskdex_core.perception.render`: standard deviation of depth
0.3 mm + 3.2 mm/m² · z², in grains of two pixels, rounded to 1 mm; lost at grazing angles, beside depth
steps, in the second imager's shadow and in random blobs), then segmentation's cut above the table. Flying
pixels are left out: segmentation drops them (0.1 % of the points it keeps on real captures).

Legend: N points of a view.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from maskdex_core.errors import DatasetError
from maskdex_core.perception.clusters import ClusterConfig
from maskdex_core.perception.object_shot import Margin, depth_noise_across, take_shot
from maskdex_core.perception.render import DepthNoise
from maskdex_core.perception.segment import SegmentConfig

TRIES = 32
MARGIN = Margin(pixels=12, max_pixels=40_000)
STRIDE = (np.sqrt(5.0) - 1.0) / 2.0  # of a turn: any number of views spreads evenly around the object


class Triangles(Protocol):
    """A surface: `vertices` (V, 3) m and `faces` (F, 3); trimesh has both."""

    @property
    def vertices(self) -> Any: ...

    @property
    def faces(self) -> Any: ...


class Solid(Protocol):
    """An object made of convex pieces, such as `ObjectModel`; if it has a `mesh`, that is what cameras see."""

    @property
    def pieces(self) -> Sequence[Triangles]: ...


@dataclass(frozen=True)
class CameraRange:
    """Where cameras stand: all round the object, looking near it. Lengths in metres, angles in degrees."""

    elevation: tuple[float, float] = (15.0, 80.0)
    distance: tuple[float, float] = (0.45, 1.0)
    """From the middle of the object."""
    focal: tuple[float, float] = (400.0, 640.0)
    """Pixels; a RealSense at 640 x 480 has 380 to 620."""
    aim: float = 0.1
    """The optical axis passes the object's middle within this, along each axis of the table."""


@dataclass(frozen=True, eq=False)
class View:
    """What one camera saw of an object.

    Attributes:
        points: (N, 3) float32 m, measured points in the object's frame (table at z = 0), in the image's order.
        camera_position: (3,) float64 m, the same frame.
    """

    points: NDArray[np.float32]
    camera_position: NDArray[np.float64]


def render_views(
    shape: Solid | Triangles,
    count: int,
    seed: int = 0,
    cameras: CameraRange | None = None,
    noise: DepthNoise | None = None,
) -> tuple[View, ...]:
    """Render an object on a table from several cameras.

    Args:
        shape: the object at rest on z = 0; a mesh, or anything with convex `pieces` (and perhaps a `mesh`,
            which is then what is seen: convex parts fill hollows).
        count: number of views; the first ones are the same whatever the count.
        seed: with the shape it makes the views repeatable.
        cameras, noise: where cameras stand and how they err.

    Raises:
        DatasetError: when no camera sees enough of it to find it on a table: it is too small or too flat.
    """
    mesh = one_mesh(shape)
    identity = zlib.crc32(np.ascontiguousarray(mesh.vertices, np.float32).tobytes())
    cameras, noise = cameras or CameraRange(), noise or DepthNoise()
    start = np.random.default_rng((seed, identity)).random()
    views = []
    for index in range(count):
        rng = np.random.default_rng((seed, identity, index))
        views.append(_visible_view(mesh, 2 * np.pi * (start + STRIDE * index), cameras, noise, rng))
    return tuple(views)


def render_view(
    shape: Solid | Triangles,
    position: Sequence[float] | NDArray[np.floating],
    target: Sequence[float] | NDArray[np.floating],
    focal: float,
    rng: np.random.Generator,
    noise: DepthNoise | None = None,
) -> View:
    """Render an object on a table from one camera; few or no points where it sees little of the object.

    Args:
        shape: as in `render_views`.
        position, target: (3,) m in the object's frame, of the camera and of a point on its optical axis.
        focal: pixels.
        rng: source of the noise.
        noise: how the camera errs.
    """
    noise, mesh = noise or DepthNoise(), one_mesh(shape)
    position = np.asarray(position, np.float64)
    shot = take_shot(mesh, position, np.asarray(target, np.float64), focal, rng, noise, MARGIN)
    cut = _cut(shot.base_from_camera, mesh.vertices, noise)
    return View(shot.points[shot.on_object & (shot.points[:, 2] > cut)].astype(np.float32), position)


@dataclass(eq=False)
class Whole:
    """A surface in one piece."""

    vertices: NDArray[np.floating]
    faces: NDArray[np.integer]


def one_mesh(shape: Solid | Triangles) -> Whole:
    """Return one mesh; faces that two pieces share stay inside, where no ray comes."""
    solid: Any = getattr(shape, "mesh", shape)
    pieces: Sequence[Any] = solid.pieces if hasattr(solid, "pieces") else (solid,)
    first = np.cumsum([0, *(len(piece.vertices) for piece in pieces)])
    return Whole(
        np.concatenate([np.asarray(piece.vertices) for piece in pieces]),
        np.concatenate([np.asarray(piece.faces) + offset for piece, offset in zip(pieces, first[:-1], strict=True)]),
    )


def _visible_view(
    mesh: Whole, azimuth: float, cameras: CameraRange, noise: DepthNoise, rng: np.random.Generator
) -> View:
    """Draw cameras in one direction (rad) until one sees enough of the object."""
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    middle = (low + high) / 2
    fewest = SegmentConfig().min_points
    for _ in range(TRIES):
        elevation = np.deg2rad(rng.uniform(*cameras.elevation))
        level = np.cos(elevation)
        direction = np.array([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)])
        position = middle + rng.uniform(*cameras.distance) * direction
        aim = middle + np.append(rng.uniform(-cameras.aim, cameras.aim, 2), 0.0)
        view = render_view(mesh, position, aim, rng.uniform(*cameras.focal), rng, noise)
        # What segmentation would not take for an object is never given to the network.
        if len(view.points) >= fewest and np.percentile(view.points[:, 2], 98) >= ClusterConfig().min_height:
            return view
    size = " x ".join(f"{1e3 * side:.0f}" for side in high - low)
    raise DatasetError(f"none of {TRIES} cameras saw the object of {size} mm above the table: it is too small or flat")


def _cut(base_from_camera: NDArray[np.float64], vertices: NDArray[np.floating], noise: DepthNoise) -> float:
    """Return the height (m) below which segmentation takes points for table: by the table's noise, as there."""
    config = SegmentConfig()
    away = (vertices.min(0) + vertices.max(0)) / 2 - base_from_camera[:3, 3]
    across = depth_noise_across(noise, float(away @ base_from_camera[:3, 2]), base_from_camera)
    return float(np.clip(4 * across, config.min_above, config.max_above))
