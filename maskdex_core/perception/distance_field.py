"""Signed distance on a voxel grid: made from an implicit function, read between voxels.

X, Y, Z voxels; N places.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from maskdex_core.errors import CloudError


def redistance(implicit: NDArray[np.float32], spacing: float) -> NDArray[np.float32]:
    """Turn an implicit function into a signed distance, keeping its sub-voxel zero crossings."""
    if not (implicit < 0).any():
        raise CloudError("the object closed to no volume: nothing solid lies behind its visible points")
    crossing_sum, crossing_count = crossings(implicit)
    border = crossing_count > 0
    crossing = crossing_sum / np.maximum(crossing_count, 1)[..., None]  # (X, Y, Z, 3) voxel units
    nearest = ndimage.distance_transform_edt(~border, return_distances=False, return_indices=True)
    index = tuple(np.asarray(nearest))
    cells = np.moveaxis(np.indices(implicit.shape), 0, -1)
    offset = cells - crossing[index]
    distance = np.linalg.norm(offset, axis=-1)
    # Close to the surface the nearest crossing says too much (it is one sample of a plane): there
    # the distance to that plane counts.
    smooth = ndimage.gaussian_filter(implicit, 1.0)
    gradient = np.stack(np.gradient(smooth), axis=-1)
    gradient /= np.maximum(np.linalg.norm(gradient, axis=-1, keepdims=True), 1e-9)
    to_plane = np.abs(np.einsum("...i,...i->...", offset, gradient[index]))
    weight = np.clip((distance - 1.0) / 1.5, 0.0, 1.0)
    distance = weight * distance + (1 - weight) * to_plane
    signed = np.where(implicit < 0, -distance, distance) * spacing
    return ndimage.gaussian_filter(signed, 0.5).astype(np.float32)


def crossings(implicit: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return for each voxel the sum and number of zero crossings on the edges that meet in it."""
    total = np.zeros((*implicit.shape, 3))
    count = np.zeros(implicit.shape, np.intp)
    inside = implicit < 0
    for axis in range(3):
        low = np.argwhere(np.diff(inside, axis=axis))
        high = low.copy()
        high[:, axis] += 1
        a, b = implicit[tuple(low.T)], implicit[tuple(high.T)]
        point = low.astype(np.float64)
        point[:, axis] += a / (a - b)
        for end in (low, high):  # along one axis a voxel is at most once the low and once the high end
            total[tuple(end.T)] += point
            count[tuple(end.T)] += 1
    return total, count


def interpolate(grid: NDArray[np.float32], cells: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the trilinear value of a grid at (N, 3) fractional cell coordinates."""
    return ndimage.map_coordinates(grid, cells.T, order=1, mode="nearest", output=np.float64)


def continued(values: NDArray[np.float32], spacing: float, reach: float) -> NDArray[np.float32]:
    """Continue a distance field beyond the band about its surface in which it is known.

    Args:
        values: (X, Y, Z) m, a signed distance where it is smaller than `reach`; elsewhere only the sign counts.
        spacing: m between voxels. reach: m.

    Raises:
        CloudError: when there is no surface.
    """
    known = np.abs(values) < reach
    if not known.any():
        raise CloudError("the object closed to no volume: nothing solid lies behind its visible points")
    nearest = tuple(np.asarray(ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)))
    offset = np.stack(nearest).astype(np.float32) - np.indices(values.shape, np.float32)
    away = spacing * np.sqrt((offset**2).sum(axis=0))
    return np.where(known, values, np.sign(values) * (np.abs(values[nearest]) + away)).astype(np.float32)
