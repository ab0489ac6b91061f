"""How natural a Shadow hand's posture is: a score, and the rule that rejects what no hand would do.

The fingers of the canonical hand are a human's joint by joint: J4 spreads, J3 bends at the knuckle (MCP),
J2 in the middle (PIP), J1 at the end (DIP); LFJ5 folds the palm; the thumb's J5 and J4 turn and lift its
base, J2 bends its knuckle and J1 its end.

Index legend: B grasps, F fingers (index to little).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from maskdex_core.errors import HandError
from maskdex_core.hands.model import HandModel
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.pose import HandPose

CROSSED, BENT_BACK, KNUCKLES = "crossed fingers", "bent back", "knuckles on the object"
REASONS = (CROSSED, BENT_BACK, KNUCKLES)

FINGERS = ("FF", "MF", "RF", "LF")
THUMB = ("THJ5", "THJ4", "THJ3", "THJ2", "THJ1")

# The score's strains: what costs nothing, and beyond it what costs 1.
COUPLING = 2 / 3  # J1 over J2 of a hand whose finger is bent by its tendons
END_STEP = math.radians(30)  # of J1 off that ratio
KNUCKLE_FREE, KNUCKLE_STEP = math.radians(20), math.radians(40)  # of J3 against J2
BACK_STEP = math.radians(10)  # of a joint behind straight
SPREAD_FREE, SPREAD_STEP = math.radians(10), math.radians(12)  # between neighbours
BEND_FREE, BEND_STEP = math.radians(50), math.radians(80)  # of J1 + J2 + J3 between neighbours
EDGE = 0.1  # of a thumb joint's range, at either end

CROSSING = 0.006  # m past its neighbour: fingertips that only converge, as in a fist, stay below it
BACK = math.radians(12)  # of a knuckle: a person's goes further, but only when pushed
CLAW_BACK, CLAW_BEND = math.radians(6), math.radians(50)  # a knuckle held back while the same finger curls
THUMB_BACK = math.radians(30)  # of the thumb's knuckle; its end joint cannot go further than a person's
NEAR = 0.001  # m from the object's surface that counts as touching
DORSAL = -0.8  # cosine between skin and grasping side: 37° about the back; a finger's flank may touch


def natural_posture(hand: HandModel, joints: Tensor) -> Tensor:
    """Return how natural postures (B, 22) rad are: (B,) in (0, 1], 1 for a relaxed hand.

    The score is exp(−½ Σ strains). A strain is the mean square of how far its members leave what costs
    nothing, in steps (constants above): a finger's J1 off ⅔ of J2; its J3 off J2; joints behind straight
    (J3, THJ2, THJ1); neighbours spread apart or pressed together (J4); neighbours bent differently
    (J1 + J2 + J3); the thumb's joints at their limits.

    Raises:
        HandError: when the hand has not the Shadow hand's joints.
    """
    spread, knuckle, middle, end = (_angles(hand, joints, name) for name in ("J4", "J3", "J2", "J1"))
    spread = spread * torch.tensor([1.0, 1.0, -1.0, -1.0]).to(spread)  # the outer two turn the other way
    bend = knuckle + middle + end
    columns = _columns(hand, THUMB)
    thumb, low, high = joints[:, columns], hand.lower[columns].to(joints), hand.upper[columns].to(joints)
    edge = EDGE * (high - low)
    straight = torch.cat([knuckle, thumb[:, 3:]], -1)
    strains = (
        (end - COUPLING * middle) / END_STEP,
        _beyond(knuckle - middle, KNUCKLE_FREE) / KNUCKLE_STEP,
        -straight.clamp(max=0) / BACK_STEP,
        _beyond(spread.diff(dim=-1), SPREAD_FREE) / SPREAD_STEP,
        _beyond(bend.diff(dim=-1), BEND_FREE) / BEND_STEP,
        (1 - torch.minimum(thumb - low, high - thumb) / edge).clamp(0, 1),
    )
    return torch.exp(-0.5 * torch.stack([strain.square().mean(-1) for strain in strains]).sum(0))


def unnatural(scene: HandOnObject, pose: HandPose) -> list[str | None]:
    """Return for each of B grasps why no hand would make it, the first of `REASONS`, or None.

    Raises:
        HandError: when the hand has not the Shadow hand's joints.
    """
    hand = scene.hand
    with torch.no_grad():
        transforms = hand.link_transforms(pose.joints)
        found = torch.stack(
            [
                _crossed(hand, transforms),
                _bent_back(hand, pose.joints),
                _knuckles_touch(scene, transforms, pose),
            ],
            -1,
        )
    return [REASONS[row.index(True)] if True in row else None for row in found.tolist()]


def _crossed(hand: HandModel, transforms: Tensor) -> Tensor:
    """Return (B,) whether a finger's outer segments lie beyond its neighbour's along the palm's side axis (x)."""
    sides = []
    for segment in ("middle", "distal"):
        links = torch.tensor([hand.link_index(f"rh_{finger.lower()}{segment}") for finger in FINGERS])
        sides.append(hand.place(transforms, links, torch.tensor([0.0, 0.0, 0.0125]).expand(4, 3))[..., 0])
    side = torch.stack(sides, 1)  # (B, 2, F), falls from the index finger to the little one
    return (side[..., 1:] - side[..., :-1] > CROSSING).flatten(1).any(-1)


def _bent_back(hand: HandModel, joints: Tensor) -> Tensor:
    """Return (B,) whether a finger or the thumb is hyperextended, or a knuckle held back over a curled finger."""
    knuckle, middle = _angles(hand, joints, "J3"), _angles(hand, joints, "J2")
    clawed = (knuckle < -CLAW_BACK) & (middle > CLAW_BEND)
    thumb = joints[:, _columns(hand, ("THJ2",))[0]]
    return ((knuckle < -BACK) | clawed).any(-1) | (thumb < -THUMB_BACK)


def _knuckles_touch(scene: HandOnObject, transforms: Tensor, pose: HandPose) -> Tensor:
    """Return (B,) whether the back of any link lies on the object."""
    hand = scene.hand
    facing = (hand.surface_normal * hand.link_palmar[hand.surface_link]).sum(-1)
    back = torch.nonzero(facing < DORSAL).flatten()
    points = pose.to_object(hand.place(transforms, hand.surface_link[back], hand.surface_point[back]))
    distance, _ = scene.sdf.query(points)
    return (distance < NEAR).any(-1)


def _beyond(value: Tensor, free: float) -> Tensor:
    """Return by how much |value| exceeds `free`."""
    return (value.abs() - free).clamp(min=0)


def _angles(hand: HandModel, joints: Tensor, joint: str) -> Tensor:
    """Return one joint (B, F) rad of each finger."""
    return joints[:, _columns(hand, tuple(finger + joint for finger in FINGERS))]


def _columns(hand: HandModel, names: tuple[str, ...]) -> list[int]:
    missing = [name for name in names if name not in hand.joint_names]
    if missing:
        raise HandError(f"hand {hand.name!r} has no joint {missing[0]!r}; posture is that of the shadow hand")
    return [hand.joint_names.index(name) for name in names]
