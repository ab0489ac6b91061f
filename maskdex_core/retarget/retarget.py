"""Map grasps of one hand onto another: align landmarks, match fingertips, then make contact.

A finger the target hand lacks is left out: the remaining fingers match their own counterparts and
the contact residuals close the hand with what there is.

Index legend: B grasps, F fingers both hands have, M landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from maskdex_core.errors import HandError
from maskdex_core.hands.model import HandModel
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.optimizer import RefineConfig, refine
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.ranking import grasp_cost
from maskdex_core.refine.residuals import ErrorScales, Goal, Residuals
from maskdex_core.refine.rows import HandMotion
from maskdex_core.refine.squeeze import SqueezeConfig, solve_closing

# Fingertips alone: the object is not felt, and the hand may travel far.
MATCH = RefineConfig(
    steps=8, largest_bend=0.4, largest_turn=0.4, largest_shift=0.05,
    scales=ErrorScales(penetration=0.1, table=0.1, self_collision=0.1, joint=5.0, turn=5.0, shift=1.0),
)  # fmt: skip
CONTACT = RefineConfig(steps=20, scales=ErrorScales(joint=3.0, turn=2.0, shift=0.1))


@dataclass(frozen=True)
class RetargetConfig:
    """Effort and emphasis.

    Attributes:
        match: free fingertip matching (no object). contact: contact refinement from there.
        match_scale, tip_scale: m; the fingertip error that costs 1 while matching, and while touching.
        free_share: weight of a finger that does not touch, relative to one that does.
        closings: how far the hand is closed at each try's start, 0 open, 1 closed; the best try counts.
        deepest: m; a penetration of this depth costs as much as a squeeze that balances nothing.
        squeeze: forces of the target hand's squeeze.
    """

    match: RefineConfig = MATCH
    contact: RefineConfig = CONTACT
    match_scale: float = 0.005
    tip_scale: float = 0.010
    free_share: float = 0.1
    closings: tuple[float, ...] = (0.1, 0.4, 0.7)
    deepest: float = 0.004
    squeeze: SqueezeConfig = field(default_factory=SqueezeConfig)


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


@dataclass(frozen=True)
class Kept:
    """What an edit keeps: one earlier configuration, the joints (J,) that may leave it, and the palm."""

    before: HandPose
    movable: Tensor
    palm: bool


def retarget(
    source: HandModel,
    grasp: HandPose,
    scene: HandOnObject,
    source_touch: Tensor,
    config: RetargetConfig | None = None,
    keep: Kept | None = None,
) -> Retargeted:
    """Map grasps of `source` onto the hand of `scene`.

    Args:
        source: the hand of the grasps.
        grasp: B configurations in the object frame.
        scene: the target hand on the same object.
        source_touch: (B, fingers of source) bool, which fingers touch.
        keep: what stays of an earlier configuration of the target hand (an edit); None for nothing.

    Raises:
        HandError: when the hands share fewer than two fingers.
    """
    config = config or RetargetConfig()
    target = scene.hand
    fingers = tuple(f for f in source.finger_names if f in target.finger_names)
    if len(fingers) < 2:
        raise HandError(
            f"hands {source.name!r} and {target.name!r} share {len(fingers)} fingers; at least 2 are needed"
        )
    rows = [source.finger_names.index(finger) for finger in fingers]
    columns = [target.finger_names.index(finger) for finger in fingers]
    goal = grasp.to_object(source.tip_points(grasp.joints))[:, rows]
    weight = torch.where(source_touch[:, rows], 1.0, config.free_share)

    if keep is None:
        tries, held = len(config.closings), {}
        start = HandPose.joined([_aligned(source, grasp, target, fingers, closing) for closing in config.closings])
    else:
        tries, held = 1, {"movable": keep.movable, "hold_palm": keep.palm}
        start = keep.before[[0] * len(grasp)]
    active = _active_links(target, source_touch[:, rows], fingers).repeat(tries, 1)
    tips = TipGoal(target, columns, goal.repeat(tries, 1, 1), weight.repeat(tries, 1))
    nothing = torch.zeros_like(active)
    matched = refine(scene, start, config.match, nothing, goal=tips.within(config.match_scale), **held)
    made = refine(scene, matched.pose, config.contact, active, goal=tips.within(config.tip_scale), **held)
    closing = solve_closing(scene, made.pose, config.squeeze)
    depth = scene.penetration(made.pose)
    cost = grasp_cost(made.energy, closing.residual) + depth / config.deepest
    # The best of the tries of each grasp.
    best = cost.reshape(tries, -1).argmin(0) * len(grasp) + torch.arange(len(grasp))
    pose = made.pose[best]
    with torch.no_grad():
        error = (pose.to_object(target.tip_points(pose.joints))[:, columns] - goal).norm(dim=-1)
    return Retargeted(
        pose, closing.pregrasp[best], target.clamp(closing.squeeze[best]), made.energy[best], closing.residual[best],
        error, fingers, depth[best],
    )  # fmt: skip


def touching_fingers(scene: HandOnObject, pose: HandPose, reach: float = 0.004) -> Tensor:
    """Return (B, fingers) bool: which fingers have a contact link within `reach` m of the object."""
    hand = scene.hand
    with torch.no_grad():
        near = scene.contacts(pose).gap < reach
    part = hand.link_part[hand.contact_link_index]
    index = [hand.part_names.index(finger) for finger in hand.finger_names]
    return torch.stack([near[:, part == i].any(-1) for i in index], -1)


@dataclass(frozen=True)
class TipGoal:
    """Fingertips as residuals: where chosen fingertips (columns of `tip_points`) should be.

    Attributes:
        hand: the target hand. columns: F finger columns. points: (B, F, 3) m, object frame.
        weight: (B, F) of each finger.
    """

    hand: HandModel
    columns: list[int]
    points: Tensor
    weight: Tensor

    def within(self, scale: float) -> Goal:
        """Return the residuals; an error of `scale` m costs 1."""
        link, point = self.hand.tips
        link, point = link[self.columns], point[self.columns]

        def residuals(pose: HandPose, motion: HandMotion) -> Residuals:
            placed = pose.to_object(self.hand.place(self.hand.link_transforms(pose.joints), link, point))
            root = self.weight.sqrt() / scale
            rows = [motion.along(link, placed, axis.expand_as(placed)) * root[..., None] for axis in torch.eye(3)]
            values = (placed - self.points) * root[..., None]
            return Residuals(values.transpose(1, 2).flatten(1), torch.cat(rows, 1))

        return residuals


def _landmarks(hand: HandModel, joints: Tensor, fingers: tuple[str, ...]) -> Tensor:
    """Return finger bases, then fingertips, (B, 2F, 3) m in the palm frame."""
    transforms = hand.link_transforms(joints)
    bases = torch.tensor([hand.link_index(hand.spec.parts[finger][0]) for finger in fingers])
    base_points = transforms[:, bases, :3, 3]
    columns = [hand.finger_names.index(finger) for finger in fingers]
    return torch.cat([base_points, hand.tip_points(joints)[:, columns]], 1)


def _aligned(
    source: HandModel, grasp: HandPose, target: HandModel, fingers: tuple[str, ...], closing: float
) -> HandPose:
    """Return the target hand partly closed, its landmarks laid on the source's (Kabsch 1976)."""
    joints = ((1 - closing) * target.lower + closing * target.upper).expand(len(grasp), -1)
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
