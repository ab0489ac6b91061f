"""What the models of the grasp vector share: the grasp model's conditions, a trunk of its size, sampling, files.

Legend: B batch, C condition vectors, W width, I inputs, O outputs, V numbers of a grasp, K grasps.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from maskdex_core.baselines.files import Stored, write_baseline
from maskdex_core.baselines.vector import GraspVector
from maskdex_core.config import from_mapping
from maskdex_core.errors import CheckpointError, CloudError, ConfigError
from maskdex_core.grasp.condition import GraspCondition, thin_points
from maskdex_core.grasp.config import TransformerConfig
from maskdex_core.grasp.types import GraspBatch
from maskdex_core.hands.model import HandModel
from maskdex_core.text import load_encoder

Loss = tuple[Tensor, dict[str, Tensor]]
"""What is minimised, and its readable parts."""
SLOTS = 6  # vectors in which the trunk holds a grasp: as many as the tokens of the paper's


class Trunk(nn.Module):
    """A transformer of the grasp model's size from I numbers and condition vectors to O numbers."""

    def __init__(self, inputs: int, outputs: int, config: TransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.first = nn.Linear(inputs, SLOTS * width)
        layer = nn.TransformerDecoderLayer(
            width, config.heads, config.feedforward * width, config.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerDecoder(layer, config.layers, nn.LayerNorm(width))
        self.last = nn.Linear(SLOTS * width, outputs)

    def forward(self, numbers: Tensor, memory: Tensor) -> Tensor:
        """Map (B, I) under condition vectors (B, C, W) to (B, O)."""
        slots = self.first(numbers).unflatten(-1, (SLOTS, -1))
        return self.last(self.layers(slots, memory).flatten(1)).float()


class VectorModel(nn.Module, ABC):
    """Draws vectors of grasps under the conditions of `GraspCondition`."""

    kind: ClassVar[str]

    def __init__(self, config: TransformerConfig, info: dict[str, Any] | None = None) -> None:
        """Build an untrained model of the Shadow hand; `info` are facts that travel with the weights."""
        super().__init__()
        self.config, self.info = config, dict(info or {})
        self.vector = GraspVector(HandModel.load("shadow"))
        self.condition = GraspCondition(dataclasses.replace(config, touch_width=0))

    @property
    @abstractmethod
    def noise_size(self) -> int:
        """Normal numbers N that a row of `objective` takes."""

    @abstractmethod
    def objective(self, vectors: Tensor, memory: Tensor, noise: Tensor, share: Tensor) -> Loss:
        """Return the loss of true vectors (B, V) under condition vectors (B, C, W).

        Args:
            noise: (B, N) standard normal. share: (B, 1) uniform in [0, 1).
        """

    @abstractmethod
    def draw(self, memory: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return one vector (K, V) for each row of the condition vectors (K, C, W)."""

    def embed(self, text: str | Tensor) -> Tensor:
        """Return the embedding (E,) of a text; an embedding passes through."""
        return text if isinstance(text, Tensor) else load_encoder(self.config.text_encoder).encode([text])[0]

    def touch_map(self, points: Tensor, text: str | Tensor) -> None:
        """Return None: nothing here tells where a text wants the hand."""

    @torch.no_grad()
    def sample(
        self, points: Tensor, text: str | Tensor, n: int = 16, *, generator: torch.Generator | None = None
    ) -> GraspBatch:
        """Draw n grasps; see `GraspSampler`.

        Raises:
            CloudError: when the points are unusable.
        """
        cloud, centroid = centred(points, self.config.object_points)
        memory = self.condition(cloud[None], self.embed(text)[None]).expand(n, -1, -1)
        return self.vector.decode(self.draw(memory, generator), centroid)

    def save(self, folder: Path) -> None:
        """Write a checkpoint folder, for `restore` to read."""
        settings = dataclasses.asdict(self.config)
        write_baseline(folder, Stored(self.kind, settings, self.info, dict(self.state_dict())))

    @classmethod
    def restore(cls, stored: Stored) -> VectorModel:
        """Return the model of a checkpoint.

        Raises:
            CheckpointError: when its settings or weights are none of this model's.
        """
        try:
            model = cls(from_mapping(TransformerConfig, stored.settings), stored.info)
            model.load_state_dict(stored.tensors)
        except (ConfigError, RuntimeError) as error:
            raise CheckpointError(f"checkpoint of a {cls.kind!r} does not fit: {str(error)[:200]}") from error
        return model.eval()


def centred(points: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return at most `count` of the points (P, 3) m about their centroid, and the centroid (3,) m.

    Raises:
        CloudError: when the points are unusable.
    """
    if points.ndim != 2 or points.shape[1] != 3 or len(points) < 1 or not bool(torch.isfinite(points).all()):
        raise CloudError(f"object points have shape {tuple(points.shape)}; expected (P, 3), all finite, P ≥ 1")
    centroid = points.mean(0)
    return thin_points(points - centroid, count), centroid
