"""Errors of completed shapes, on spheres whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from maskdex_core.metrics.completed_shape import shape_error
from maskdex_core.perception.completion import ClosedGeometry

RADIUS, SPACING = 0.03, 0.003


def sphere(radius: float = RADIUS, shift: float = 0.0) -> ClosedGeometry:
    axis = SPACING * np.arange(40) - 0.0585
    places = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1) - [shift, 0, 0]
    sdf = (np.linalg.norm(places, axis=-1) - radius).astype(np.float32)
    return ClosedGeometry(sdf, np.full(3, -0.0585), SPACING)


def truth(places: np.ndarray) -> np.ndarray:
    return np.linalg.norm(places, axis=1) - RADIUS


def surface(count: int = 3000) -> np.ndarray:
    directions = np.random.default_rng(0).standard_normal((count, 3))
    return RADIUS * directions / np.linalg.norm(directions, axis=1, keepdims=True)


def test_the_true_shape_has_no_error():
    error = shape_error(sphere(), truth, surface())
    assert error.sdf < 0.0002 and error.iou > 0.97
    assert error.chamfer < 0.001  # half of it is how far apart 2000 points lie


@pytest.mark.parametrize("wider", [-0.006, 0.006])
def test_a_wider_or_narrower_sphere_is_off_by_as_much(wider: float):
    error = shape_error(sphere(RADIUS + wider), truth, surface())
    assert error.sdf == pytest.approx(abs(wider), rel=0.05)
    assert error.chamfer == pytest.approx(abs(wider), rel=0.1)
    volumes = sorted([RADIUS**3, (RADIUS + wider) ** 3])
    assert error.iou == pytest.approx(volumes[0] / volumes[1], abs=0.03)


def test_a_shifted_sphere_overlaps_less():
    assert shape_error(sphere(shift=0.01), truth, surface()).iou < 0.75
