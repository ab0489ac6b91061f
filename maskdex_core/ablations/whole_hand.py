"""The hand as one part, for a tokenizer without parts: one code (or one chain of codes) holds the whole grasp."""

from __future__ import annotations

import torch
from torch import Tensor

from maskdex_core.grasp.surface import HandSurface


class WholeHand:
    """A hand whose palm and fingers are all of part 0. Legend: B batch, N skin points."""

    part_names = ("hand",)

    def __init__(self, hand: HandSurface) -> None:
        self._hand = hand
        self.joint_names = hand.joint_names
        self.lower, self.upper = hand.lower, hand.upper
        self.joint_part = torch.zeros_like(hand.joint_part)
        self.surface_part = torch.zeros_like(hand.surface_part)

    def surface_points(self, joints: Tensor, select: Tensor | None = None) -> Tensor:
        """Return skin points (B, N, 3) in m in the palm frame; `select` picks some of them."""
        return self._hand.surface_points(joints, select)

    def surface_points_and_normals(self, joints: Tensor, select: Tensor) -> tuple[Tensor, Tensor]:
        """Return selected skin points and their outward normals, both (B, N, 3), palm frame."""
        return self._hand.surface_points_and_normals(joints, select)
