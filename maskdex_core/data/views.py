"""Single-view partial clouds of objects at rest on a table, rendered as the deployed pipeline would see them.

The network at deployment reads the points that one depth camera measured on the object and that segmentation
kept: neither completed nor smoothed, as dense as the image's pixels, in the axes of the base. A view here goes
the same way: a stereo camera's depth image (`maskdex_core.perception.render`: standard deviation of depth
0.3 mm + 3.2 mm/m² · z², in grains of two pixels, rounded to 1 mm; lost at grazing angles, beside depth
steps, in the second imager's shadow and in random blobs), then segmentation's cut above the table. Flying
pixels are left out: segmentation drops them (0.1 % of the points it keeps on real captures).

Objects that a family and a seed rebuild are rendered when a training run asks for them, and cached; views of
others are rendered when the dataset is made and lie beside it in `views.safetensors`.

Legend: N points of a view, V views of an object, P points kept of each.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from maskdex_core.data.dataset import GraspDataset, ObjectSurface
from maskdex_core.errors import DatasetError
from maskdex_core.objects.procedural import FAMILIES, ObjectModel, make_object
from maskdex_core.perception.camera import look_at
from maskdex_core.perception.clusters import ClusterConfig
from maskdex_core.perception.render import DepthNoise, cast_rays, degrade, pixel_rays
from maskdex_core.perception.segment import SegmentConfig
from maskdex_core.resources import cache_folder

logger = logging.getLogger(__name__)

VIEWS = "views.safetensors"
FORMAT, VERSION = "maskdex-views", "1"
VIEW_POINTS = 512
"""Points kept of a view: what the small model reads of a cloud at deployment."""
VIEWS_EACH = 8
"""Views of an object that is rebuilt; they are rendered at 5 ms each and cached, so they cost little."""
TRIES = 32
TABLE_HALF = 3.0  # m
BORDER = 12  # pixels beside the object: depth steps and grains of noise need their surroundings
MAX_PIXELS = 40_000  # of the rendered window; a larger one is rendered coarser
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
    mesh = _as_mesh(shape)
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
    noise, mesh = noise or DepthNoise(), _as_mesh(shape)
    position = np.asarray(position, np.float64)
    object_from_camera = look_at(position, target)
    K, size, coarser = _window(mesh.vertices, object_from_camera, focal)
    # Grains and lost edges are so many pixels of the camera, not of the coarser window.
    scaled = replace(
        noise, correlation=noise.correlation / coarser, edge_width=max(1, round(noise.edge_width / coarser))
    )
    hits = cast_rays([mesh, _table()], K, size, object_from_camera, noise.baseline)
    depth = degrade(hits, K, object_from_camera, rng, scaled)
    rays = pixel_rays(K, size) @ object_from_camera[:3, :3].T
    seen = (hits.mesh == 0) & np.isfinite(depth)
    points = position + rays[seen] * depth[seen, None]
    points = points[points[:, 2] > _cut(object_from_camera, mesh.vertices, noise)]
    return View(points.astype(np.float32), position)


def pack_views(views: Sequence[View], points: int = VIEW_POINTS, seed: int = 0) -> NDArray[np.float16]:
    """Return (V, P, 3) m: as many random points of each view, repeated where it has fewer.

    Half precision is 0.1 mm at 20 cm, a tenth of the camera's noise.
    """
    rng = np.random.default_rng(seed)
    rows = [np.resize(rng.permutation(len(view.points)), points) for view in views]
    return np.stack([view.points[row] for view, row in zip(views, rows, strict=True)]).astype(np.float16)


def write_views(folder: str | Path, views: Mapping[str, NDArray[np.floating]]) -> None:
    """Write views beside a dataset (replacing those there).

    Args:
        folder: of the dataset; made if need be.
        views: object name → (V, P, 3) m in the object's frame, as `pack_views` returns; V and P may differ.

    Raises:
        DatasetError: when a shape is wrong, a coordinate is not finite, or the folder cannot be written.
    """
    for name, points in views.items():
        _check_views(points, f"views of {name!r}")
    try:
        _save(Path(folder) / VIEWS, views)
    except OSError as error:
        raise DatasetError(f"{Path(folder) / VIEWS}: cannot be written ({error.strerror})") from error


def read_views(folder: str | Path) -> dict[str, NDArray[np.float16]]:
    """Read the views beside a dataset: object name → (V, P, 3) m; none when there is no such file.

    Raises:
        DatasetError: when the file is damaged or of another format.
    """
    path = Path(folder) / VIEWS
    return _load(path) if path.is_file() else {}


def object_views(data: GraspDataset, folder: str | Path | None = None, cache: Path | None = None) -> dict[str, Tensor]:
    """Return views of a dataset's objects: stored beside it, else rendered of objects that can be rebuilt.

    Args:
        data: the grasps; only objects that have one count.
        folder: of the dataset, where stored views lie.
        cache: folder of views rendered before; the user's cache folder if None.

    Returns:
        Object name → (V, P, 3) float32 m in the object's frame; objects without views are left out.

    Raises:
        DatasetError: when stored views are damaged.
    """
    views = {} if folder is None else {name: rows for name, rows in read_views(folder).items() if name in data.objects}
    stored = len(views)
    cache = cache or cache_folder() / "views"
    missing = [name for name in data.object_names if name not in views]
    for name in tqdm(missing, desc="views", leave=False, disable=not sys.stderr.isatty()):
        shape = rebuilt_object(data.objects[name])
        if shape is not None:
            views[name] = _cached_views(shape, cache)
    counts = (len(data.object_names), stored, len(views) - stored, len(data.object_names) - len(views))
    logger.info("%d objects: views of %d are stored, of %d rendered; %d have none", *counts)
    return {name: torch.from_numpy(rows.astype(np.float32)) for name, rows in views.items()}


def rebuilt_object(surface: ObjectSurface) -> ObjectModel | None:
    """Return the object that its family and seed make, or None when they make none or another one."""
    family, seed = surface.facts.get("family"), surface.facts.get("seed")
    if not isinstance(family, str) or family not in FAMILIES or not isinstance(seed, int) or seed < 0:
        return None
    shape = make_object(family, seed)
    # The family may have changed since the dataset was made: its surface must lie where the points do.
    step = max(1, len(surface.points) // 256)
    points, out = surface.points[::step].double().numpy(), 0.001 * surface.normals[::step].double().numpy()
    matching = (shape.inside_depth(points - out) < 0) & (shape.inside_depth(points + out) > 0)
    return shape if np.mean(matching) > 0.9 else None


def _cached_views(shape: ObjectModel, cache: Path) -> NDArray[np.float16]:
    """Return the packed views of an object; a cache that cannot be read or written is done without."""
    mesh = _as_mesh(shape)
    settings = repr((VERSION, VIEWS_EACH, VIEW_POINTS, CameraRange(), DepthNoise()))
    content = np.ascontiguousarray(mesh.vertices, np.float32).tobytes() + settings.encode()
    path = cache / f"{hashlib.sha256(content).hexdigest()[:32]}.safetensors"
    try:
        return _load(path)["views"]
    except (DatasetError, KeyError):
        packed = pack_views(render_views(mesh, VIEWS_EACH))
    try:
        _save(path, {"views": packed})
    except OSError as error:
        logger.debug("%s: not cached (%s)", path, error.strerror)
    return packed


def _save(path: Path, views: Mapping[str, NDArray[np.floating]]) -> None:
    from safetensors.numpy import save

    path.parent.mkdir(parents=True, exist_ok=True)
    rows = {name: np.ascontiguousarray(points, np.float16) for name, points in views.items()}
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")  # another run may write the same views
    temporary.write_bytes(save(rows, {"format": FORMAT, "version": VERSION}))
    temporary.replace(path)


def _load(path: Path) -> dict[str, NDArray[np.float16]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            facts = file.metadata() or {}
            views = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
    except (SafetensorError, OSError) as error:
        raise DatasetError(f"{path}: not a readable safetensors file") from error
    if (facts.get("format"), facts.get("version")) != (FORMAT, VERSION):
        raise DatasetError(f"{path}: is {facts.get('format')} {facts.get('version')}, expected {FORMAT} {VERSION}")
    for name, points in views.items():
        _check_views(points, f"{path}: views of {name!r}")
    return views


def _check_views(points: NDArray[np.floating], where: str) -> None:
    if points.ndim != 3 or points.shape[2] != 3 or 0 in points.shape:
        raise DatasetError(f"{where} have shape {points.shape}, expected (V, P, 3)")
    if not np.isfinite(points).all():
        raise DatasetError(f"{where} contain NaN or infinity")


@dataclass(eq=False)
class _Mesh:
    vertices: NDArray[np.floating]
    faces: NDArray[np.integer]


def _as_mesh(shape: Solid | Triangles) -> _Mesh:
    """Return one mesh; faces that two pieces share stay inside, where no ray comes."""
    solid: Any = getattr(shape, "mesh", shape)
    pieces: Sequence[Any] = solid.pieces if hasattr(solid, "pieces") else (solid,)
    first = np.cumsum([0, *(len(piece.vertices) for piece in pieces)])
    return _Mesh(
        np.concatenate([np.asarray(piece.vertices) for piece in pieces]),
        np.concatenate([np.asarray(piece.faces) + offset for piece, offset in zip(pieces, first[:-1], strict=True)]),
    )


def _table() -> _Mesh:
    corners = TABLE_HALF * np.array([[-1.0, -1.0, 0.0], [1.0, -1.0, 0.0], [1.0, 1.0, 0.0], [-1.0, 1.0, 0.0]])
    return _Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]]))


def _visible_view(
    mesh: _Mesh, azimuth: float, cameras: CameraRange, noise: DepthNoise, rng: np.random.Generator
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


def _window(
    vertices: NDArray[np.floating], object_from_camera: NDArray[np.float64], focal: float
) -> tuple[NDArray[np.float64], tuple[int, int], float]:
    """Return K (3, 3) and size (H, W) of the image's window about the object, and how much coarser it is."""
    local = (vertices - object_from_camera[:3, 3]) @ object_from_camera[:3, :3]
    tangents = local[:, :2] / local[:, 2:]
    extent = tangents.max(0) - tangents.min(0)
    coarser = max(1.0, float(np.sqrt(np.prod(extent * focal + 2 * BORDER) / MAX_PIXELS)))
    focal = focal / coarser
    width, height = np.ceil(extent * focal).astype(int) + 2 * BORDER
    corner = BORDER - focal * tangents.min(0)
    K = np.array([[focal, 0.0, corner[0]], [0.0, focal, corner[1]], [0.0, 0.0, 1.0]])
    return K, (int(height), int(width)), coarser


def _cut(object_from_camera: NDArray[np.float64], vertices: NDArray[np.floating], noise: DepthNoise) -> float:
    """Return the height (m) below which segmentation takes points for table: by the table's noise, as there."""
    config = SegmentConfig()
    forward, away = object_from_camera[:3, 2], (vertices.min(0) + vertices.max(0)) / 2 - object_from_camera[:3, 3]
    depth = float(away @ forward)
    across = (noise.axial_floor + noise.axial_quadratic * depth**2) * abs(float(forward[2]))
    return float(np.clip(4 * across, config.min_above, config.max_above))
