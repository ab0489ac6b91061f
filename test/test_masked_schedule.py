"""The cosine mask schedule."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskdex_core.masked import cosine_ratio, masked_count, random_mask


def test_ratio_at_known_points():
    assert cosine_ratio(0.0) == 1.0
    assert cosine_ratio(2.0 / 3.0) == pytest.approx(0.5)
    assert cosine_ratio(1.0) == 0.0
    with pytest.raises(ValueError, match=r"1\.5"):
        cosine_ratio(1.5)


@given(st.integers(1, 64), st.integers(1, 20))
def test_counts_fall_from_all_to_none(positions, steps):
    counts = [masked_count(step / steps, positions) for step in range(steps + 1)]
    assert counts[0] == positions and counts[-1] == 0
    assert counts == sorted(counts, reverse=True)


def test_six_tokens_in_five_steps():
    assert [masked_count(step / 5, 6) for step in range(6)] == [6, 6, 5, 4, 2, 0]


@given(st.integers(1, 12), st.integers(0, 2**31))
def test_every_row_has_a_masked_position(positions, seed):
    mask = random_mask(64, positions, torch.Generator().manual_seed(seed))
    assert mask.shape == (64, positions)
    assert (mask.sum(1) >= 1).all()


def test_range_bounds_the_ratio_and_positions_are_masked_alike():
    generator = torch.Generator().manual_seed(0)
    heavy = random_mask(6000, 6, generator, (0.0, 0.5))
    assert heavy.sum(1).min() >= 5  # cos(π/4)·6 = 4.24, rounded up
    mask = random_mask(6000, 6, generator)
    assert set(mask.sum(1).tolist()) == {1, 2, 3, 4, 5, 6}
    share = mask.float().mean(0)
    assert (share - share.mean()).abs().max() < 0.03
