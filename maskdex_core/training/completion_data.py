"""Training views of the completion network, made once and kept: one file an object, whole or not at all.

Channels and labels are stored in 127ths of the band: 0.1 mm at 3 mm voxels, a tenth of the camera's noise.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from maskdex_core.errors import CloudError, DatasetError, MeshError
from maskdex_core.perception.rendered_view import draw_scene
from maskdex_core.perception.view_grid import BAND, ViewGrid, view_voxels
from maskdex_core.training.completion_shapes import Field, Shape, drawn_shape, real_shapes

log = logging.getLogger(__name__)

FULL_SCALE = 127.0
WIDE = 2.0  # range of a stored channel: constants such as the voxel's size go beyond 1


def make_views(folder: Path, objects: int, views: int, meshes: Path | None = None, mesh_views: int = 16) -> list[Path]:
    """Make what is missing of a set of training views and return all of its files.

    Args:
        folder: of the files; made if need be.
        objects: number of procedural objects. views: of each.
        meshes: folder of real meshes with an index, if there is one. mesh_views: views of each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(objects):
        path = folder / f"shape_{index:05d}.safetensors"
        if not path.exists():
            _write_object(path, lambda index=index: drawn_shape(index), views, index)
    if meshes is not None:
        for index, shape in enumerate(real_shapes(meshes)):
            path = folder / f"mesh_{shape.name}.safetensors"
            if not path.exists():
                _write_object(path, lambda shape=shape: shape, mesh_views, index)
    return sorted(folder.glob("*.safetensors"))


def _write_object(path: Path, make: Callable[[], Shape], views: int, seed: int) -> None:
    from safetensors.numpy import save_file

    rng = np.random.default_rng([7, seed])
    tensors: dict[str, NDArray[np.int8]] = {}
    try:
        for number, (channels, label) in enumerate(islice(labelled_views(make(), rng), views)):
            tensors[f"{number}/channels"], tensors[f"{number}/label"] = _packed(channels, WIDE), _packed(label, 1.0)
    except (MeshError, ValueError) as error:
        log.warning("%s: left out (%s)", path.stem, error)
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    save_file(tensors, beside)
    beside.replace(path)


def labelled_views(shape: Shape, rng: np.random.Generator) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yield channels (C, X, Y, Z) and true distance (X, Y, Z), both in bands, of random views of an object."""
    while (scene := draw_scene(shape.mesh, rng)) is not None:
        try:
            voxels = view_voxels(scene)
        except CloudError:  # too little of it was seen
            continue
        yield voxels.channels, banded_distance(shape.distance, voxels.grid)


def banded_distance(distance: Field, grid: ViewGrid) -> NDArray[np.float32]:
    """Return the distance (X, Y, Z) at a grid's voxels over `BAND` of them, cut off at ±1.

    Blocks of eight voxels are asked first: most of them are farther from the surface than the band.
    """
    scale = BAND * grid.spacing
    half = tuple(count // 2 for count in grid.shape)
    coarse = distance(grid.centers(2)).reshape(half)
    fine = np.repeat(np.repeat(np.repeat(coarse, 2, 0), 2, 1), 2, 2).reshape(-1)
    asked = np.abs(fine) < scale + 0.9 * grid.spacing
    fine[asked] = distance(grid.centers()[asked])
    return np.clip(fine / scale, -1.0, 1.0).astype(np.float32).reshape(grid.shape)


def _packed(values: NDArray[np.float32], full: float) -> NDArray[np.int8]:
    return np.round(np.clip(values / full, -1.0, 1.0) * FULL_SCALE).astype(np.int8)


def view_rows(files: Sequence[Path]) -> list[tuple[Path, int]]:
    """Return (file, number) of every view in some files.

    Raises:
        DatasetError: when a file is damaged.
    """
    rows = []
    for path in files:
        with _opened(path) as file:
            rows += [(path, number) for number in range(len(list(file.keys())) // 2)]
    return rows


def read_view(path: Path, number: int) -> tuple[Tensor, Tensor]:
    """Return channels (C, X, Y, Z) and label (X, Y, Z) of a stored view, float32 in bands.

    Raises:
        DatasetError: when the file is damaged.
    """
    with _opened(path) as file:
        channels, label = file.get_tensor(f"{number}/channels"), file.get_tensor(f"{number}/label")
    return channels.float() * (WIDE / FULL_SCALE), label.float() / FULL_SCALE


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise DatasetError(f"{path}: not readable training views") from error
