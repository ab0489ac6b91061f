"""The completion network: the rule when untrained, the same numbers from its file, quick and small as shipped."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from maskdex_core.errors import CheckpointError
from maskdex_core.perception import completion_network
from maskdex_core.perception.completion_network import (
    CompletionNetwork,
    load_completion,
    save_completion,
)
from maskdex_core.perception.view_grid import CHANNELS


def channels(shape: tuple[int, int, int] = (24, 16, 8), seed: int = 0) -> torch.Tensor:
    return torch.rand(1, CHANNELS, *shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def scrambled(seed: int = 0) -> CompletionNetwork:
    torch.manual_seed(seed)
    network = CompletionNetwork().eval()
    torch.nn.init.normal_(network.out.weight, std=0.05)
    return network


def test_untrained_it_is_the_rule():
    x = channels()
    surface, error = CompletionNetwork()(x)
    assert torch.equal(surface, x[:, 0])
    assert (error > 0).all()


def test_voxels_come_back_where_they_were():
    x = channels()
    assert torch.equal(completion_network._out_of_blocks(completion_network._into_blocks(x)), x)


def test_a_change_far_away_is_seen_and_the_output_stays_in_place():
    network, x = scrambled(), channels((32, 32, 16))
    y = x.clone()
    y[0, 2, 0, 0, 0] += 5.0
    change = (network(y)[0] - network(x)[0])[0].abs()
    assert change[:4, :4, :4].max() > 3 * change[-4:, -4:, -4:].max()
    assert change[-1, -1, -1] > 0


def test_weights_survive_their_file(tmp_path):
    network = scrambled()
    save_completion(network, tmp_path / "model.safetensors", {"views": "3"})
    again = load_completion(tmp_path / "model.safetensors")
    x = channels()
    with torch.inference_mode():
        assert torch.allclose(again(x)[0], network(x)[0], atol=5e-3)


@pytest.mark.parametrize("content", [None, b"no weights", "foreign", "another"])
def test_a_file_that_is_no_completion_network_is_named(tmp_path, content):
    path = tmp_path / "model.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "foreign":
        save_file({"weight": torch.ones(3)}, path)
    elif content == "another":
        save_file({"weight": torch.ones(3)}, path, {"format": "maskdex-completion", "version": "1"})
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_completion(path)
