"""The network that corrects the rule's guess of an object's unseen side, on a view's voxels.

A U-Net on blocks of two by two by two voxels and three coarser scales. What it returns is added to the rule's
implicit surface, so that an untrained network is the rule; beside it stands how far off it expects to be.
Distances in bands (`view_grid.BAND` voxels).

B batch, C channels, X, Y, Z voxels.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from maskdex_core.errors import CheckpointError
from maskdex_core.perception.view_grid import CHANNELS
from maskdex_core.precision import fast_products

WEIGHTS = "model.safetensors"
FORMAT, VERSION = "maskdex-completion", "1"
WIDTHS = (32, 64, 96)
DEEP_BLOCKS = 2
BLOCK = 2  # voxels along each side of what the finest layer sees as one
LEAST_ERROR = 0.01  # bands; a smaller expected error would only blow up the loss


class CompletionNetwork(nn.Module):
    """Channels of a view (B, C, X, Y, Z) → implicit surface and its expected error, both (B, X, Y, Z)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv3d(CHANNELS * BLOCK**3, WIDTHS[0], 3, padding=1)
        self.encode = nn.ModuleList(_Block(width) for width in WIDTHS[:-1])
        self.down = nn.ModuleList(nn.Conv3d(fine, coarse, 2, stride=2) for fine, coarse in pairwise(WIDTHS))
        self.deep = nn.Sequential(*(_Block(WIDTHS[-1]) for _ in range(DEEP_BLOCKS)))
        self.whole = nn.Linear(WIDTHS[-1], WIDTHS[-1])
        self.up = nn.ModuleList(nn.Conv3d(coarse, fine, 1) for fine, coarse in pairwise(WIDTHS))
        self.decode = nn.ModuleList(_Block(width) for width in WIDTHS[:-1])
        self.last = nn.GroupNorm(8, WIDTHS[0])
        self.out = nn.Conv3d(WIDTHS[0], 2 * BLOCK**3, 3, padding=1)
        for value in self.out.parameters():
            nn.init.zeros_(value)

    def forward(self, channels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the implicit surface and its expected absolute error, in bands; sides are multiples of 8."""
        x = self.stem(_into_blocks(channels))
        skips = []
        for block, down in zip(self.encode, self.down, strict=True):
            skips.append(block(x))
            x = down(skips[-1])
        x = self.deep(x)
        x = x + self.whole(x.mean((2, 3, 4)))[..., None, None, None]
        for up, block, skip in zip(reversed(self.up), reversed(self.decode), reversed(skips), strict=True):
            x = block(skip + F.interpolate(up(x), scale_factor=2.0, mode="nearest"))
        change, spread = _out_of_blocks(self.out(F.silu(self.last(x))).float()).unbind(1)
        return channels[:, 0].float() + change, F.softplus(spread) + LEAST_ERROR


class _Block(nn.Module):
    """Two convolutions beside a short cut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv3d(width, width, 3, padding=1) for _ in range(2))
        self.norm = nn.GroupNorm(8, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.silu(self.first(self.norm(x))))


def _into_blocks(x: Tensor) -> Tensor:
    """Return (B, 8C, X/2, Y/2, Z/2): the voxels of a block side by side."""
    b, c, *sides = x.shape
    split = x.reshape(b, c, *(size for side in sides for size in (side // BLOCK, BLOCK)))
    return split.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, c * BLOCK**3, *(side // BLOCK for side in sides))


def _out_of_blocks(x: Tensor) -> Tensor:
    """Undo `_into_blocks`."""
    b, c, *sides = x.shape
    split = x.reshape(b, c // BLOCK**3, BLOCK, BLOCK, BLOCK, *sides)
    return split.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, c // BLOCK**3, *(side * BLOCK for side in sides))


def complete(
    network: CompletionNetwork, channels: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Run a network on one view.

    Args:
        network: trained. channels: (C, X, Y, Z) of `view_grid.view_voxels`.

    Returns:
        Signed distance and its expected error, (X, Y, Z) float32 in bands.
    """
    with torch.inference_mode(), fast_products(torch.device("cpu")):
        surface, error = network(torch.from_numpy(channels)[None])
    return surface[0].numpy(), error[0].numpy()


def load_completion(path: Path) -> CompletionNetwork:
    """Return the network with the weights of a file.

    Raises:
        CheckpointError: when the file is missing, damaged, or of another network.
    """
    network = CompletionNetwork().eval()
    try:
        with safe_open(path, framework="pt") as file:
            facts = file.metadata() or {}
            weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        if (facts.get("format"), facts.get("version")) != (FORMAT, VERSION):
            raise CheckpointError(
                f"{path}: is {facts.get('format')} {facts.get('version')}, expected {FORMAT} {VERSION}"
            )
        network.load_state_dict(weights)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise CheckpointError(f"{path}: no weights of the completion network ({str(error)[:120]})") from error
    return network


def save_completion(network: CompletionNetwork, path: Path, facts: dict[str, str]) -> None:
    """Write weights in half precision.

    Args:
        network: to write. path: of the file. facts: what else the file says of itself.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().half().contiguous() for name, value in network.state_dict().items()}
    save_file(weights, path, metadata={"format": FORMAT, "version": VERSION, **facts})
