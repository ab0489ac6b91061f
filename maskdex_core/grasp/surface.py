"""Which points of the hand's skin the tokenizer sees: an equal number a part, in the object frame."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class HandSurface(Protocol):
    """What the tokenizer needs of a hand; `maskdex_core.hands.HandModel` is one."""

    lower: Tensor
    upper: Tensor
    joint_part: Tensor
    surface_part: Tensor

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names of the J joints."""
        ...

    @property
    def part_names(self) -> tuple[str, ...]:
        """Names of the parts, the palm first."""
        ...

    def surface_points(self, joints: Tensor, select: Tensor | None = None) -> Tensor:
        """Return skin points (B, N, 3) in m in the palm frame; `select` picks some of them."""
        ...

    def surface_points_and_normals(self, joints: Tensor, select: Tensor) -> tuple[Tensor, Tensor]:
        """Return selected skin points and their outward normals, both (B, N, 3), palm frame."""
        ...


def part_selection(surface_part: Tensor, parts: int, total: int) -> Tensor:
    """Choose skin points, the same number for every part, spread evenly over each part's list.

    Args:
        surface_part: (N,) part index of each skin point.
        parts: number of parts G.
        total: points of the whole hand; each part gives total // G.

    Returns:
        (G, M) indices; a part with fewer points than M repeats some.

    Raises:
        ValueError: when a part has no point.
    """
    each = max(1, total // parts)
    chosen = []
    for part in range(parts):
        own = torch.nonzero(surface_part == part).squeeze(1)
        if not len(own):
            raise ValueError(f"part {part} has no surface point")
        chosen.append(own[torch.linspace(0, len(own) - 1, each).round().long()])
    return torch.stack(chosen)


def hand_points(hand: HandSurface, selection: Tensor, joints: Tensor, rotation: Tensor, translation: Tensor) -> Tensor:
    """Place the chosen skin points in the object frame, differentiably.

    Args:
        hand: gives the points in the palm frame.
        selection: (G, M) indices.
        joints: (B, J) rad.
        rotation: (B, 3, 3) of object_from_palm.
        translation: (B, 3) m of object_from_palm.

    Returns:
        (B, G, M, 3) m.
    """
    in_palm = hand.surface_points(joints, selection.flatten())
    in_object = in_palm @ rotation.transpose(1, 2) + translation.unsqueeze(1)
    return in_object.unflatten(1, tuple(selection.shape))
