"""Distance fields of balls and boxes, known exactly, for tests of the contact refinement."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from maskdex_core.refine.sdf import SdfGrid

SPACING = 0.0025


def ball(center: Sequence[float], radius: float) -> SdfGrid:
    """Return the field of a ball, m."""
    return _field(np.asarray(center, float), radius, lambda p: np.linalg.norm(p, axis=-1) - radius)


def box(center: Sequence[float], half: Sequence[float]) -> SdfGrid:
    """Return the field of a box with half extents (3,), m."""

    def distance(points: np.ndarray) -> np.ndarray:
        outside = np.abs(points) - np.asarray(half)
        return np.linalg.norm(np.maximum(outside, 0), axis=-1) + np.minimum(outside.max(-1), 0)

    return _field(np.asarray(center, float), max(half), distance)


def _field(center: np.ndarray, reach: float, distance: Callable[[np.ndarray], np.ndarray]) -> SdfGrid:
    axis = np.arange(-reach - 0.03, reach + 0.03 + SPACING / 2, SPACING)
    nodes = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)
    return SdfGrid.from_values(distance(nodes), center + axis[0], SPACING)
