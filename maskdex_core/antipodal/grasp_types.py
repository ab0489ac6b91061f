"""The grasp types that seed synthesis: which links touch, and the posture the hand comes with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from maskdex_core.hands.model import HandModel

FINGERS = ("index", "middle", "ring", "little")


@dataclass(frozen=True)
class GraspType:
    """One type of grasp of the Shadow hand.

    Attributes:
        name: how stored grasps name it.
        fingers: fingers that oppose the thumb.
        wraps: whether proximal links and the palm should touch too.
        widest: m, the largest width between thumb and fingers worth trying.
    """

    name: str
    fingers: tuple[str, ...]
    wraps: bool
    widest: float


GRASP_TYPES = (
    GraspType("pinch", ("index",), False, 0.06),
    GraspType("tripod", ("index", "middle"), False, 0.085),
    GraspType("quad", ("index", "middle", "ring"), False, 0.09),
    GraspType("precision", FINGERS, False, 0.10),
    GraspType("wrap", FINGERS, True, 0.10),
)


def active_links(hand: HandModel, grasp_type: GraspType) -> Tensor:
    """Return (C,) float: the contact links that this type brings to the object."""
    active = []
    for name, link in zip(hand.spec.contact_links, hand.contact_link_index.tolist(), strict=True):
        part = hand.part_names[int(hand.link_part[link])]
        distal = name.endswith("distal")
        wanted = part == "thumb" or part in grasp_type.fingers
        if grasp_type.wraps:
            active.append(1.0 if wanted and (distal or "middle" in name or "proximal" in name) else 0.5)
        else:
            active.append(1.0 if wanted and distal else 0.0)
    return torch.tensor(active)


def preshapes(hand: HandModel, grasp_type: GraspType, count: int, generator: torch.Generator) -> Tensor:
    """Return random natural postures (count, 22) rad, from open to half closed."""
    closing = torch.rand(count, 1, generator=generator)
    joints = torch.zeros(count, len(hand.joint_names))

    def set_joint(name: str, value: Tensor, spread: float = 0.08) -> None:
        noise = spread * torch.randn(count, generator=generator)
        joints[:, hand.joint_names.index(name)] = value.reshape(-1) + noise

    for finger, code in zip(FINGERS, ("FF", "MF", "RF", "LF"), strict=True):
        used = finger in grasp_type.fingers
        bend = closing if used else 0.2 + 0.9 * torch.rand(count, 1, generator=generator)
        set_joint(f"{code}J4", torch.zeros(count), 0.1)
        set_joint(f"{code}J3", 0.35 + 0.75 * bend, 0.12)
        set_joint(f"{code}J2", 0.25 + 0.75 * bend, 0.12)
        set_joint(f"{code}J1", 0.15 + 0.55 * bend, 0.1)
    set_joint("LFJ5", 0.1 + 0.3 * closing)
    set_joint("THJ5", 0.15 + 0.5 * torch.rand(count, generator=generator), 0.15)
    set_joint("THJ4", 0.85 + 0.35 * torch.rand(count, generator=generator), 0.1)
    set_joint("THJ3", torch.zeros(count), 0.08)
    set_joint("THJ2", 0.1 + 0.3 * closing, 0.15)
    set_joint("THJ1", 0.1 + 0.5 * closing, 0.15)
    return hand.clamp(joints)
