"""Close the unseen side of an object by a trained network instead of the rule alone (`completion`).

The network corrects the rule's distance near the surface; farther away the distance is continued.

X, Y, Z voxels.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskdex_core.errors import CloudError
from maskdex_core.perception.completion import ClosedGeometry, voxel_centers
from maskdex_core.perception.completion_network import CompletionNetwork, complete, load_completion
from maskdex_core.perception.distance_field import continued, interpolate
from maskdex_core.perception.segment import Scene
from maskdex_core.perception.view_grid import BAND, ViewGrid, ViewVoxels, view_voxels

SHIPPED = Path(__file__).resolve().parent.parent / "assets" / "completion.safetensors"
THINNEST = 1.0  # voxel: a wall that was seen is at least so thick, or no voxel would lie inside
TRUSTED = 0.75  # of the band: farther from the surface than that the network only knows the side
MARGIN = 0.03  # m of free border about the object


@lru_cache(maxsize=1)
def shipped_network() -> CompletionNetwork:
    """Load the network that ships.

    Raises:
        CheckpointError: when its file is missing or damaged.
    """
    return load_completion(SHIPPED)


def close_by_network(scene: Scene, network: CompletionNetwork) -> ClosedGeometry:
    """Close the object of a scene.

    Args:
        scene: result of `segment`. network: trained.

    Raises:
        CloudError: when the object has no volume.
    """
    voxels = view_voxels(scene)
    surface, error = complete(network, voxels.channels)
    surface = np.where(voxels.on_object, np.minimum(surface, _seen_wall(voxels)), surface)
    if not (surface < 0).any():
        raise CloudError("the object closed to no volume: nothing solid lies behind its visible points")
    return _along_base(scene, voxels.grid, surface, error)


def _seen_wall(voxels: ViewVoxels) -> NDArray[np.float32]:
    """Return the distance (X, Y, Z), in bands, to a thin wall behind what was seen."""
    return np.maximum(-voxels.behind, voxels.behind - THINNEST / BAND)


def _along_base(
    scene: Scene, grid: ViewGrid, surface: NDArray[np.float32], error: NDArray[np.float32]
) -> ClosedGeometry:
    """Turn distance and expected error (X, Y, Z) on a view's grid, in bands, into fields along base axes."""
    spacing, band = grid.spacing, BAND * grid.spacing
    # Thin walls may lie between voxels, so that none is inside: what is near counts.
    solid = np.concatenate((grid.places(np.argwhere(surface < 2 / BAND)), scene.object_points))
    low, high = solid.min(axis=0) - MARGIN, solid.max(axis=0) + MARGIN
    count = np.ceil((high - low) / spacing).astype(int) + 1
    shape = (int(count[0]), int(count[1]), int(count[2]))
    centers = voxel_centers(low, shape, spacing)
    cells = grid.cells(centers)
    within = np.clip(cells, 0, np.array(grid.shape) - 1)
    distance = band * interpolate(surface, within) + spacing * np.linalg.norm(cells - within, axis=1)
    above = centers @ scene.table_plane[:3].astype(np.float32) + np.float32(scene.table_plane[3])
    distance = np.maximum(distance, -above).reshape(shape).astype(np.float32)
    expected = (band * interpolate(error, within)).reshape(shape).astype(np.float32)
    sdf = continued(distance, spacing, TRUSTED * band)
    return ClosedGeometry(sdf, low, spacing, expected)
