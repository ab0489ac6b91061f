"""Chains of codes: their order, their tokens, their training masks."""

import pytest
import torch

from maskdex_core.masked import CodeChains, random_mask, random_waves

PLAIN = CodeChains((1,) * 6, codes=8)
ANCHORED = CodeChains((3, 2, 2, 2), codes=8, anchored=True)


def _seed(value: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(value)


def test_joined_codes_split_again():
    chains = CodeChains((3, 1, 2), codes=8)
    codes = torch.randint(8, (50, 6), generator=_seed())
    tokens = chains.join(codes)
    assert tokens.shape == (50, 3) and torch.equal(chains.split(tokens), codes)
    assert chains.vocabulary == (512, 8, 64) and (tokens < torch.tensor(chains.vocabulary)).all()
    # The first level stands in front: tokens with like numbers are like grasps.
    assert torch.equal(tokens[:, 0] // 64, codes[:, 0])


def test_an_anchor_is_known_whole_before_the_rest_and_each_chain_from_its_start():
    assert ANCHORED.wave_of.tolist() == [0, 1, 2, 3, 4, 3, 4, 3, 4] and ANCHORED.waves == 5
    assert CodeChains((3, 2, 2, 2), codes=8).wave_of.tolist() == [0, 1, 2, 0, 1, 0, 1, 0, 1]
    assert PLAIN.waves == 1


def test_values_are_reduced_by_part():
    values = torch.arange(9.0).expand(2, -1)
    assert ANCHORED.by_part(values)[0].tolist() == [1.0, 3.5, 5.5, 7.5]
    assert ANCHORED.by_part(values, "amax")[1].tolist() == [2.0, 4.0, 6.0, 8.0]


def test_training_masks_are_states_that_sampling_or_an_edit_can_meet():
    masked, asked = random_waves(4000, ANCHORED, _seed())
    wave = ANCHORED.wave_of
    assert asked.any(1).all() and not (asked & ~masked).any()
    for row, ask in zip(masked, asked, strict=True):
        now = wave[ask].unique()
        assert len(now) == 1
        assert not row[wave < now].any()
        for part in range(ANCHORED.parts):  # masked from the wave on, or known whole
            rest = row[(ANCHORED.part_of == part) & (wave >= now)]
            assert rest.all() or not rest.any()
    assert set(wave[asked.float().mean(0) > 0].tolist()) == {0, 1, 2, 3, 4}


def test_with_one_code_a_part_masks_are_the_papers():
    masked, asked = random_waves(50, PLAIN, _seed(3))
    assert torch.equal(masked, random_mask(50, 6, _seed(3))) and torch.equal(masked, asked)


def test_a_chain_too_long_for_one_token_is_refused():
    chains = CodeChains((15,), 256)
    assert not chains.joinable
    with pytest.raises(ValueError, match="15 codes of 256"):
        chains.join(torch.zeros(1, 15, dtype=torch.int64))
    assert CodeChains((7,), 256).joinable
