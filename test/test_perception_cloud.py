"""A cloud is checked once, at the door."""

import numpy as np
import pytest

from maskdex_core.errors import CloudError
from maskdex_core.perception.cloud import MAX_POINTS, Cloud


def points(count: int = 500) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.2, 0.8, (count, 3)).astype(np.float32)


def test_valid_points_are_the_finite_non_zero_ones_in_order():
    given = points()
    given[3] = np.nan
    given[7, 1] = np.inf
    given[11] = 0.0
    given[13, 2] = 1e30
    kept = np.delete(given, [3, 7, 11, 13], axis=0)
    assert np.array_equal(Cloud(given).valid_points(), kept)


def test_float64_is_taken_and_stored_as_float32():
    cloud = Cloud(points().astype(np.float64))
    assert cloud.points.dtype == np.float32


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.empty((0, 3), np.float32), "0 points"),
        (np.full((400, 3), np.nan, np.float32), "none is valid"),
        (points(1), "1 valid points; at least 100"),
        (points(50), "50 valid points"),
        (points()[:, :2], r"shape \(500, 2\); expected \(N, 3\)"),
        (points().astype(np.int32), "type int32; expected float32"),
        (points() * 1000, "points must be in metres"),
        (np.broadcast_to(np.float32(1), (MAX_POINTS + 1, 3)), "at most 5000000"),
    ],
)
def test_bad_points_are_named(given: np.ndarray, words: str):
    with pytest.raises(CloudError, match=words):
        Cloud(given)


def test_colors_must_match_points():
    with pytest.raises(CloudError, match="500 points but 499 colors"):
        Cloud(points(), colors=points(499))


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        (np.eye(3), r"shape \(3, 3\)"),
        (np.diag([1.0, 1.0, -1.0, 1.0]), "not rigid"),
        ("no matrix", "not a matrix"),
    ],
)
def test_bad_transform_is_named(transform: object, words: str):
    with pytest.raises(CloudError, match=words):
        Cloud(points(), base_from_camera=transform)  # type: ignore[arg-type]
