"""Residual quantisation: chains of codes, one number a part, state."""

import pytest
import torch

from maskdex_core.masked import EmaQuantizer, ResidualQuantizer

LEVELS = (3, 1, 2)


def _trained(levels=LEVELS, steps: int = 30) -> ResidualQuantizer:
    quantizer = ResidualQuantizer(levels, codes=8, dim=4, decay=0.8)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        quantizer(torch.randn(64, len(levels), 4, generator=generator))
    return quantizer.eval()


def test_one_level_each_is_the_plain_quantizer():
    plain, residual = EmaQuantizer(3, 8, 4, decay=0.8), ResidualQuantizer((1, 1, 1), 8, 4, decay=0.8)
    for seed in range(5):
        latent = torch.randn(32, 3, 4, generator=torch.Generator().manual_seed(seed))
        first, second = plain(latent), residual(latent)
        assert torch.equal(first.tokens, second.tokens)
        assert torch.allclose(first.vectors, second.vectors, atol=1e-6)
    assert torch.allclose(plain.codebook, residual.codebook)


def test_every_further_code_comes_closer():
    latent = torch.randn(256, 3, 4, generator=torch.Generator().manual_seed(7))
    errors = [(_trained((n, n, n))(latent).vectors - latent).square().mean() for n in (1, 2, 3)]
    assert errors[0] > 1.5 * errors[1] > 1.5**2 * errors[2]


def test_lookup_gives_the_vectors_of_the_tokens():
    quantizer = _trained()
    made = quantizer(torch.randn(16, 3, 4))
    assert made.tokens.shape == (16, 6) and quantizer.part_of.tolist() == [0, 0, 0, 1, 2, 2]
    assert torch.allclose(quantizer.lookup(made.tokens), made.vectors, atol=1e-5)


def test_gradients_pass_straight_through():
    latent = torch.randn(5, 3, 4, requires_grad=True)
    _trained()(latent).vectors.sum().backward()
    assert torch.allclose(latent.grad, torch.ones_like(latent))


def test_a_saved_and_loaded_quantizer_goes_on_as_it_would_have():
    first = _trained().train()
    second = ResidualQuantizer(LEVELS, codes=8, dim=4, decay=0.8)
    second.load_state_dict(first.state_dict())
    latent = torch.randn(16, 3, 4)
    assert torch.equal(first(latent).tokens, second(latent).tokens)
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("position", range(6))
def test_a_code_moves_its_own_part_only(position):
    quantizer = _trained()
    tokens = torch.zeros(1, 6, dtype=torch.int64)
    other = tokens.clone()
    other[0, position] = 3
    moved = (quantizer.lookup(tokens) - quantizer.lookup(other)).abs().amax((0, 2)) > 1e-6
    assert moved.nonzero().flatten().tolist() == [int(quantizer.part_of[position])]
