"""Confidence-guided sampling."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskdex_core.masked import guided_predictor, sample_tokens

POSITIONS, CODES = 6, 9


def _seed(value: int) -> torch.Generator:
    return torch.Generator().manual_seed(value)


def _predictor(seed: int = 0):
    table = torch.randn(POSITIONS, CODES, generator=_seed(seed))
    context = torch.randn(CODES, POSITIONS, CODES, generator=_seed(seed + 1))

    def predict(tokens, mask):
        known = (context[tokens] * (~mask)[..., None, None]).sum(1)  # (B, N, K)
        return table + 0.3 * known

    return predict


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(0, 10_000), st.floats(0.0, 2.0), st.integers(0, CODES))
def test_fixed_tokens_stay_and_everything_is_filled(steps, seed, temperature, top_k):
    generator = _seed(seed)
    tokens = torch.randint(CODES, (5, POSITIONS), generator=generator)
    fixed = torch.rand(5, POSITIONS, generator=generator) < 0.4
    fixed[0] = True  # a row with nothing to draw
    fixed[1] = False
    calls = []

    def predict(current, mask):
        assert not (mask & fixed).any()
        calls.append(mask.sum().item())
        return _predictor()(current, mask)

    result = sample_tokens(predict, tokens, fixed, steps, temperature, top_k, generator)
    assert torch.equal(result.tokens[fixed], tokens[fixed])
    assert (result.confidence[fixed] == 1.0).all()
    assert ((result.confidence > 0.0) & (result.confidence <= 1.0)).all()
    assert len(calls) <= min(steps, POSITIONS)
    assert calls == sorted(calls, reverse=True) and len(set(calls)) == len(calls)


def test_ids_under_the_mask_are_never_used():
    garbage = torch.full((4, POSITIONS), CODES - 1)
    blank = torch.zeros(4, POSITIONS, dtype=torch.int64)
    first = sample_tokens(_predictor(), garbage, generator=_seed(3))
    second = sample_tokens(_predictor(), blank, generator=_seed(3))
    assert torch.equal(first.tokens, second.tokens)


def test_a_seed_repeats_a_batch_and_another_seed_does_not():
    blank = torch.zeros(32, POSITIONS, dtype=torch.int64)
    first, again, other = (sample_tokens(_predictor(), blank, generator=_seed(s)) for s in (5, 5, 6))
    assert torch.equal(first.tokens, again.tokens)
    assert torch.equal(first.confidence, again.confidence)
    assert not torch.equal(first.tokens, other.tokens)


def test_guidance_zero_is_the_conditional_pass_alone():
    seen = []

    def network(tokens, mask, dropped):
        seen.append(dropped)
        return _predictor()(tokens, mask)

    predict = guided_predictor(network, 0.0)
    predict(torch.zeros(4, POSITIONS, dtype=torch.int64), torch.ones(4, POSITIONS, dtype=torch.bool))
    assert len(seen) == 1 and not seen[0].any() and len(seen[0]) == 4


def test_guided_logits_follow_the_formula_in_one_batch():
    batches = []
    conditional, unconditional = torch.randn(4, POSITIONS, CODES), torch.randn(4, POSITIONS, CODES)

    def network(tokens, mask, dropped):
        batches.append(len(tokens))
        return torch.where(dropped[:, None, None], unconditional.repeat(2, 1, 1), conditional.repeat(2, 1, 1))

    logits = guided_predictor(network, 1.5)(
        torch.zeros(4, POSITIONS, dtype=torch.int64), torch.ones(4, POSITIONS, dtype=torch.bool)
    )
    assert batches == [8]
    assert torch.allclose(logits, 2.5 * conditional - 1.5 * unconditional, atol=1e-6)


def test_a_wave_is_filled_whole_before_the_next_begins():
    waves = torch.tensor([0, 1, 2, 2, 2, 3])
    masks = []

    def predict(tokens, mask):
        masks.append(mask.clone())
        return _predictor()(tokens, mask)

    result = sample_tokens(predict, torch.zeros(8, POSITIONS, dtype=torch.int64), steps=2, waves=waves)
    asked = [min(waves[row].tolist()) for mask in masks for row in mask]
    assert asked == sorted(asked)
    # One code alone needs one step, three need two; codes of later waves stay masked until it is their turn.
    assert len(masks) == 1 + 1 + 2 + 1
    assert all(mask[:, waves > min(waves[mask[0]].tolist())].all() for mask in masks)
    assert ((result.confidence > 0.0) & (result.confidence <= 1.0)).all()


def _watched(fixed: torch.Tensor | None, rows: int = 0, **options):
    """Sample 7 rows; return how many rows each call asked for, and the result. `rows` > 0 answers for so many."""
    sizes = []

    def predict(tokens, mask):
        sizes.append(len(tokens))
        if rows:
            tokens, mask = tokens.expand(rows, -1), mask.expand(rows, -1)
        return _predictor()(tokens, mask)

    tokens = torch.randint(CODES, (7, POSITIONS), generator=_seed(8))
    return sizes, sample_tokens(predict, tokens, fixed, generator=_seed(4), **options)


@pytest.mark.parametrize("waves", [None, torch.tensor([0, 1, 1, 2, 2, 2])])
def test_rows_that_know_nothing_are_asked_once_and_drawn_apart(waves):
    sizes, short = _watched(None, waves=waves)
    _, whole = _watched(None, rows=7, waves=waves)  # what the predictor says of all seven rows
    assert sizes[0] == 1 and len(sizes) > 1 and set(sizes[1:]) == {7}
    assert torch.equal(short.tokens, whole.tokens) and torch.equal(short.confidence, whole.confidence)
    assert len(short.tokens[:, 0].unique()) > 1


def test_one_fixed_token_asks_for_every_row():
    fixed = torch.zeros(7, POSITIONS, dtype=torch.bool)
    fixed[3, 2] = True
    sizes, result = _watched(fixed)
    assert set(sizes) == {7}
    assert result.confidence[3, 2] == 1.0


def test_temperature_zero_and_top_one_take_the_most_probable():
    table = torch.randn(POSITIONS, CODES)
    blank = torch.zeros(7, POSITIONS, dtype=torch.int64)

    def predict(tokens, mask):
        return table.expand(len(tokens), -1, -1)

    for options in ({"temperature": 0.0}, {"top_k": 1}):
        result = sample_tokens(predict, blank, steps=3, **options)
        assert torch.equal(result.tokens, table.argmax(-1).expand(7, -1))
        assert torch.allclose(result.confidence, table.softmax(-1).amax(-1).expand(7, -1))


def test_draws_and_confidence_follow_the_distribution():
    logits = torch.tensor([0.0, 1.0, 2.0]).expand(1, 1, 3)
    result = sample_tokens(
        lambda tokens, mask: logits.expand(len(tokens), -1, -1),
        torch.zeros(20_000, 1, dtype=torch.int64),
        temperature=2.0,
        generator=_seed(0),
    )
    share = torch.bincount(result.tokens.flatten(), minlength=3) / 20_000
    assert torch.allclose(share, (logits[0, 0] / 2.0).softmax(-1), atol=0.015)
    # Confidence is at temperature 1 whatever the temperature of the draw.
    assert torch.allclose(result.confidence, logits[0, 0].softmax(-1)[result.tokens])


def test_coupled_tokens_come_out_coupled():
    """All tokens of a row are equal in the data; drawing them one by one must respect that."""

    def predict(tokens, mask):
        known = torch.nn.functional.one_hot(tokens, CODES).float() * (~mask).unsqueeze(-1)
        return (20.0 * known.sum(1, keepdim=True)).expand(-1, POSITIONS, -1)

    blank = torch.zeros(300, POSITIONS, dtype=torch.int64)
    tokens = sample_tokens(predict, blank, steps=POSITIONS, generator=_seed(1)).tokens
    assert (tokens == tokens[:, :1]).float().mean() > 0.99
    assert len(tokens[:, 0].unique()) == CODES


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"temperature": -1.0}, {"top_k": -2}])
def test_unusable_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="steps"):
        sample_tokens(_predictor(), torch.zeros(1, POSITIONS, dtype=torch.int64), **wrong)
