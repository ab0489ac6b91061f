"""Map grasps of one hand onto another: align landmarks, match fingertips, then make contact.

A finger the target hand lacks is left out: the remaining fingers match their own counterparts and
the contact energy closes the hand with what there is.

Index legend: B grasps, F fingers both hands have, M landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from maskdex_core.errors import HandError
from maskdex_core.hands.model import HandModel
from maskdex_core.refine.energy import ContactEnergy, EnergyWeights
from maskdex_core.refine.optimizer import RefineConfig, refine
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.squeeze import SqueezeConfig, solve_closing


@dataclass(frozen=True)
class RetargetConfig:
    """Effort and emphasis.

    Attributes:
        match: free fingertip matching (no object). contact: contact refinement from there.
        tip_scale: m; a fingertip error of this size costs 1.
        tip_weight: weight of fingertips while contacts are made.
        free_share: weight of a finger that does not touch, relative to one that does.
        squeeze: forces of the target hand's squeeze.
    """

    match: RefineConfig = RefineConfig(
        40, 0.08, 0.006, 0.05, 0.1, weights=EnergyWeights(gap=0, penetration=0, wrench=0, table=0, prior=0)
    )
    contact: RefineConfig = RefineConfig(80, 0.045, 0.003, 0.022, 0.05, weights=EnergyWeights(gap=3.0, prior=0.0))
    tip_scale: float = 0.01
    tip_weight: float = 0.02
    free_share: float = 0.1
    squeeze: SqueezeConfig = SqueezeConfig()


@dataclass(frozen=True)
class Retargeted:
    """B grasps of the target hand.

    Attributes:
        pose: configuration in contact. pregrasp, squeeze: (B, J) rad, inside the joint limits.
        energy: (B,) refined energy, lower is better. residual: (B,) wrench left, share of the force.
        tip_error: (B, F) m between target and source fingertips. fingers: the F names.
        penetration: (B,) m.
    """

    pose: HandPose
    pregrasp: Tensor
    squeeze: Tensor
    energy: Tensor
    residual: Tensor
    tip_error: Tensor
    fingers: tuple[str, ...]
    penetration: Tensor


def retarget(
    source: HandModel, grasp: HandPose, energy: ContactEnergy, source_touch: Tensor, config: RetargetConfig | None = None
) -> Retargeted:
    """Map grasps of `source` onto the hand of `energy`.

    Args:
        source: the hand of the grasps.
        grasp: B configurations in the object frame.
        energy: contact energy of the target hand on the same object.
        source_touch: (B, fingers of source) bool, which fingers touch.

    Raises:
        HandError: when the hands share fewer than two fingers.
    """
    config = config or RetargetConfig()
    target = energy.hand
    fingers = tuple(f for f in source.finger_names if f in target.finger_names)
    if len(fingers) < 2:
        raise HandError(f"hands {source.name!r} and {target.name!r} share {len(fingers)} fingers; at least 2 are needed")
    rows = [source.finger_names.index(finger) for finger in fingers]
    columns = [target.finger_names.index(finger) for finger in fingers]
    goal = grasp.to_object(source.tip_points(grasp.joints))[:, rows]
    weight = torch.where(source_touch[:, rows], 1.0, config.free_share)

    def tips(pose: HandPose) -> Tensor:
        placed = pose.to_object(target.tip_points(pose.joints))[:, columns]
        return (((placed - goal) / config.tip_scale).square().sum(-1) * weight).sum(-1)

    start = _aligned(source, grasp, target, fingers)
    active = _active_links(target, source_touch[:, rows], fingers)
    matched = refine(energy, start, config.match, active, attraction=tips)
    made = refine(energy, matched.pose, config.contact, active, attraction=lambda pose: config.tip_weight * tips(pose))
    closing = solve_closing(energy, made.pose, config.squeeze)
    with torch.no_grad():
        placed = made.pose.to_object(target.tip_points(made.pose.joints))[:, columns]
        error = (placed - goal).norm(dim=-1)
    return Retargeted(
        made.pose, closing.pregrasp, target.clamp(closing.squeeze), made.energy, closing.residual, error, fingers,
        energy.penetration(made.pose),
    )  # fmt: skip


def touching_fingers(energy: ContactEnergy, pose: HandPose, reach: float = 0.004) -> Tensor:
    """Return (B, fingers) bool: which fingers have a contact link within `reach` m of the object."""
    hand = energy.hand
    with torch.no_grad():
        near = energy.contacts(pose).gap < reach
    part = hand.link_part[hand.contact_link_index]
    index = [hand.part_names.index(finger) for finger in hand.finger_names]
    return torch.stack([near[:, part == i].any(-1) for i in index], -1)


def _landmarks(hand: HandModel, joints: Tensor, fingers: tuple[str, ...]) -> Tensor:
    """Return finger bases, then fingertips, (B, 2F, 3) m in the palm frame."""
    transforms = hand.link_transforms(joints)
    bases = torch.tensor([hand.link_index(hand.spec.parts[finger][0]) for finger in fingers])
    base_points = transforms[:, bases, :3, 3]
    columns = [hand.finger_names.index(finger) for finger in fingers]
    return torch.cat([base_points, hand.tip_points(joints)[:, columns]], 1)


def _aligned(source: HandModel, grasp: HandPose, target: HandModel, fingers: tuple[str, ...]) -> HandPose:
    """Return the target hand half closed, its landmarks laid on the source's (Kabsch 1976)."""
    joints = (0.6 * target.lower + 0.4 * target.upper).expand(len(grasp), -1)
    theirs = _landmarks(target, joints, fingers)
    ours = grasp.to_object(_landmarks(source, grasp.joints, fingers))
    center, goal = theirs.mean(1, keepdim=True), ours.mean(1, keepdim=True)
    covariance = (theirs - center).transpose(1, 2) @ (ours - goal)
    u, _, vt = torch.linalg.svd(covariance)
    flip = torch.ones(len(grasp), 3)
    flip[:, 2] = torch.sign(torch.linalg.det(vt.transpose(1, 2) @ u.transpose(1, 2)))
    rotation = vt.transpose(1, 2) @ torch.diag_embed(flip) @ u.transpose(1, 2)
    translation = goal[:, 0] - (rotation @ center.transpose(1, 2)).squeeze(-1)
    return HandPose(joints.clone(), rotation, translation)


def _active_links(target: HandModel, touch: Tensor, fingers: tuple[str, ...]) -> Tensor:
    """Return (B, C) float: the outermost contact link of every finger that touches."""
    links = target.contact_link_index.tolist()
    active = torch.zeros(len(touch), len(links))
    for column, finger in enumerate(fingers):
        outer = max(links.index(link) for link in links if target.part_names[int(target.link_part[link])] == finger)
        active[:, outer] = touch[:, column].float()
    # Two contacts at least, or nothing is held.
    short = active.sum(-1) < 2
    if short.any():
        everything = _active_links(target, torch.ones(1, len(fingers), dtype=torch.bool), fingers)
        active[short] = everything
    return active
