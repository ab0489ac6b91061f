"""The quantiser: nearest codes, straight-through gradients, moving averages, reset, exact resume."""

import copy

import pytest
import torch

from maskdex_core.masked import EmaQuantizer


def _trained(steps: int = 5, **options) -> EmaQuantizer:
    quantizer = EmaQuantizer(positions=2, codes=8, dim=4, **options)
    generator = torch.Generator().manual_seed(3)
    for _ in range(steps):
        quantizer(torch.randn(32, 2, 4, generator=generator))
    return quantizer


def test_tokens_are_the_nearest_codes_of_each_position():
    quantizer = _trained().eval()
    latent = torch.randn(50, 2, 4)
    distance = (latent.unsqueeze(2) - quantizer.codebook).norm(dim=-1)
    result = quantizer(latent)
    assert torch.equal(result.tokens, distance.argmin(-1))
    assert torch.allclose(result.vectors, quantizer.lookup(result.tokens), atol=1e-6)


def test_gradient_passes_straight_through():
    quantizer = _trained().eval()
    latent = torch.randn(6, 2, 4, requires_grad=True)
    weight = torch.randn(6, 2, 4)
    (quantizer(latent).vectors * weight).sum().backward()
    assert torch.equal(latent.grad, weight)


def test_commitment_pulls_latents_to_their_codes():
    quantizer = _trained().eval()
    latent = torch.randn(6, 2, 4, requires_grad=True)
    result = quantizer(latent)
    result.commitment.backward()
    expected = 2.0 * (latent - result.vectors).detach() / (4 * 6)
    assert torch.allclose(latent.grad, expected, atol=1e-6)


def test_every_cluster_gets_a_code():
    centres = torch.tensor([[-3.0, 0.0], [0.0, 3.0], [3.0, 0.0], [0.0, -3.0]])
    quantizer = EmaQuantizer(positions=1, codes=16, dim=2, decay=0.8)
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        pick = torch.randint(4, (64,), generator=generator)
        quantizer((centres[pick] + 0.1 * torch.randn(64, 2, generator=generator)).unsqueeze(1))
    gap = torch.cdist(centres, quantizer.codebook[0]).min(1).values
    assert gap.max() < 0.15


def test_evaluation_changes_no_state():
    quantizer = _trained().eval()
    before = copy.deepcopy(quantizer.state_dict())
    quantizer(torch.randn(16, 2, 4))
    assert all(torch.equal(before[name], value) for name, value in quantizer.state_dict().items())


def test_dead_codes_are_revived():
    quantizer = _trained(decay=0.5)
    with torch.no_grad():
        quantizer.codebook[:, :6] = 1000.0
        quantizer.code_count[:, :6] = 1e-6
        quantizer.code_sum[:, :6] = 1e-3
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        quantizer(torch.randn(64, 2, 4, generator=generator))
    result = quantizer.eval()(torch.randn(200, 2, 4, generator=generator))
    assert quantizer.codebook.abs().max() < 10.0
    assert (result.usage == 1.0).all()
    assert (result.perplexity > 4.0).all()


def test_usage_and_perplexity_of_known_histograms():
    quantizer = EmaQuantizer(positions=1, codes=4, dim=1).eval()
    quantizer.codebook[0, :, 0] = torch.tensor([0.0, 1.0, 2.0, 3.0])
    even = quantizer(torch.tensor([0.0, 1.0, 2.0, 3.0]).view(4, 1, 1))
    half = quantizer(torch.tensor([0.0, 0.0, 1.0, 1.0]).view(4, 1, 1))
    assert even.perplexity.item() == pytest.approx(4.0, abs=1e-4)
    assert half.perplexity.item() == pytest.approx(2.0, abs=1e-4)
    assert half.usage.item() == 0.5


def test_saved_and_loaded_module_steps_bitwise_the_same():
    # A high threshold makes the random reset happen in every step.
    going_on = _trained(dead_share=0.9)
    loaded = EmaQuantizer(positions=2, codes=8, dim=4, dead_share=0.9)
    loaded.load_state_dict(copy.deepcopy(going_on.state_dict()))
    torch.manual_seed(99)  # the global generator must not matter
    for _ in range(3):
        latent = torch.randn(32, 2, 4)
        going_on(latent)
        torch.rand(7)
        loaded(latent)
    for name, value in going_on.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name]), name
