"""Views of a dataset's objects: stored beside it, or rendered when asked for and cached.

Objects that a family and a seed rebuild are rendered when a training run asks for them; views of others are
rendered when the dataset is made and lie beside it in `views.safetensors`.

Legend: V views of an object, P points kept of each.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from maskdex_core.data.dataset import GraspDataset, ObjectSurface
from maskdex_core.data.view_rendering import CameraRange, View, one_mesh, render_views
from maskdex_core.errors import DatasetError
from maskdex_core.objects.procedural import FAMILIES, ObjectModel, make_object
from maskdex_core.perception.render import DepthNoise
from maskdex_core.resources import cache_folder

logger = logging.getLogger(__name__)

VIEWS = "views.safetensors"
FORMAT, VERSION = "maskdex-views", "1"
VIEW_POINTS = 512
"""Points kept of a view: what the small model reads of a cloud at deployment."""
VIEWS_EACH = 8
"""Views of an object that is rebuilt; they are rendered at 5 ms each and cached, so they cost little."""


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
    mesh = one_mesh(shape)
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
