"""What is asked of whatever proposes grasps: `GraspModel`, or one of `maskdex_core/baselines`."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from maskdex_core.grasp.types import GraspBatch


class GraspSampler(Protocol):
    """Object points and a text in, grasps of the Shadow hand out."""

    info: dict[str, Any]
    """Facts that travel with the weights: name, data, commit."""

    def embed(self, text: str) -> Tensor:
        """Return the embedding (E,) of a text; `sample` takes it in the text's place."""
        ...

    def touch_map(self, points: Tensor, text: str | Tensor) -> Tensor | None:
        """Return where on the object the text wants the hand (P,); None for one that cannot tell."""
        ...

    def sample(
        self, points: Tensor, text: str | Tensor, n: int = 16, *, generator: torch.Generator | None = None
    ) -> GraspBatch:
        """Draw n grasps for object points (P, 3) m with the base's axes, in the frame of the points."""
        ...
