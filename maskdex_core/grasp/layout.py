"""What a model must know of a hand to be built; it travels in a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from maskdex_core.grasp.surface import HandSurface


@dataclass(frozen=True)
class HandLayout:
    """Joints, parts and limits of a hand, J joints in order."""

    joint_names: tuple[str, ...]
    part_names: tuple[str, ...]
    joint_part: tuple[int, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]

    @classmethod
    def of(cls, hand: HandSurface) -> HandLayout:
        """Read the layout off a hand."""
        return cls(
            joint_names=tuple(hand.joint_names),
            part_names=tuple(hand.part_names),
            joint_part=tuple(int(part) for part in hand.joint_part),
            lower=tuple(float(value) for value in hand.lower),
            upper=tuple(float(value) for value in hand.upper),
        )
