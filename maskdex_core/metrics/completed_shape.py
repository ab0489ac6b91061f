"""How far a completed object is from the true one: distance of surfaces, error of the distance field, overlap.

N places, S surface points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from maskdex_core.perception.completion import ClosedGeometry, surface_points

Field = Callable[[NDArray[np.floating]], NDArray[np.floating]]  # places (N, 3) m → signed distance (N,) m

NEAR = 0.01  # m from the true surface
PLACES = 20_000
SURFACE = 2_000


@dataclass(frozen=True)
class ShapeError:
    """Errors of one completed object.

    Attributes:
        chamfer: m, mean of the two mean distances between completed and true surface.
        sdf: m, mean absolute error of the distance at random places within 1 cm of the true surface.
        iou: intersection over union of the insides.
    """

    chamfer: float
    sdf: float
    iou: float


def shape_error(closed: ClosedGeometry, truth: Field, surface: NDArray[np.floating], seed: int = 0) -> ShapeError:
    """Compare a completed object with the true one.

    Args:
        closed: the completed object. truth: signed distance to the true one, the same frame.
        surface: (S, 3) m, points spread over the true surface.
        seed: of the places at which the fields are compared.
    """
    rng = np.random.default_rng(seed)
    made, _ = surface_points(closed, SURFACE, seed)
    chamfer = (float(np.abs(truth(made)).mean()) + float(KDTree(made).query(surface)[0].mean())) / 2
    around = surface[rng.integers(len(surface), size=PLACES)] + rng.uniform(-NEAR, NEAR, (PLACES, 3))
    true, found = truth(around), closed.distance(around)
    near = np.abs(true) < NEAR
    low = np.minimum(made.min(axis=0), surface.min(axis=0))
    high = np.maximum(made.max(axis=0), surface.max(axis=0))
    places = rng.uniform(low, high, (PLACES, 3))
    inside = truth(places) < 0, closed.distance(places) < 0
    iou = float((inside[0] & inside[1]).sum() / max(1, (inside[0] | inside[1]).sum()))
    return ShapeError(chamfer, float(np.abs(true - found)[near].mean()), iou)
