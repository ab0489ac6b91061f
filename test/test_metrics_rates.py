"""Rates: means over grasps, intervals over objects."""

import numpy as np
import pytest

from maskdex_core.metrics.rates import rate


def _outcomes(*texts: str) -> list[np.ndarray]:
    """One string of 0 and 1 an object."""
    return [np.array([letter == "1" for letter in text]) for text in texts]


def test_the_mean_is_over_grasps_and_lies_in_its_interval():
    found = rate(_outcomes("1111", "10", "0000", "01"))
    assert found.mean == pytest.approx(6 / 12)
    assert (found.grasps, found.objects) == (12, 4)
    assert 0.0 <= found.low < found.mean < found.high <= 1.0


def test_what_all_objects_share_has_no_interval():
    # Grasps differ within each object, but every object fares alike: resampling objects changes nothing.
    found = rate(_outcomes(*["1100"] * 8))
    assert (found.low, found.mean, found.high) == (0.5, 0.5, 0.5)


def test_grasps_of_one_object_count_as_one_draw():
    """Sixteen alike grasps on each of 12 objects tell no more than one on each."""
    held = "110100111010"
    one = rate(_outcomes(*held))
    many = rate(_outcomes(*(letter * 16 for letter in held)))
    assert (many.low, many.mean, many.high) == pytest.approx((one.low, one.mean, one.high))
    spread = rate(_outcomes(*["1" * 7 + "0" * 5] * 16))  # as many grasps, all objects alike
    assert many.high - many.low > 0.3 > spread.high - spread.low


def test_more_objects_narrow_the_interval_as_their_root():
    narrow, wide = (rate(_outcomes(*(["1", "0"] * half))) for half in (200, 8))
    ratio = (wide.high - wide.low) / (narrow.high - narrow.low)
    assert ratio == pytest.approx(5.0, rel=0.25)  # the root of 200 / 8


def test_a_seed_repeats_an_interval():
    outcomes = _outcomes("1101", "0110", "1111", "0001")
    assert rate(outcomes, seed=3) == rate(outcomes, seed=3)
