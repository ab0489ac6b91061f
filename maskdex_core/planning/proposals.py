"""Grasp proposals: tokens → contact on the Shadow hand → contact on the target hand → a ranking.

Index legend: K proposals.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from maskdex_core.errors import UsageError
from maskdex_core.grasp.types import GraspBatch
from maskdex_core.hands.model import HandModel
from maskdex_core.planning.geometry import ObjectGeometry
from maskdex_core.refine.approach import approach_direction
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.features import squeeze_features
from maskdex_core.refine.hands_off import refine_hands_off
from maskdex_core.refine.optimizer import RefineConfig, RefineResult, refine
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.pregrasp import wide_open
from maskdex_core.refine.ranking import hold_odds, merit, touch_agreement
from maskdex_core.refine.squeeze import Closing, solve_closing
from maskdex_core.retarget.retarget import PRESSING, Kept, Retargeted, retarget, touching_fingers
from maskdex_core.retarget.slope import pressed_slope

CROWDING_WEIGHT = 20.0  # per m of spheres in the way of the approach
MISS_WEIGHT = 0.05  # per nat of disagreement with the text: a wrong part weighs as much as a doubtful hold
SURE = 0.85  # agreement below which a grasp is refined again with hands off what the text wants left alone
SECOND_TRIES = 6  # of them at most: the best; what they cost is less than half of the first refinement
SECOND_STEPS = 10  # they are in contact already
ODDS = 15.0  # the largest log-odds that count: beyond, float32 cannot tell a chance from none
DOUBT_WEIGHT = 0.02  # per nat of the judge's doubt: it tells apart what balances, and does not outweigh what does not


@dataclass(frozen=True)
class Proposals:
    """K grasps, best first, object frame.

    Attributes:
        grasps: refined Shadow grasps with tokens, confidences, pre-grasp, squeeze and score.
        target: the same grasps on the target hand.
        approach: (K, 3) unit direction of the straight approach.
        cost: (K,) doubt that they hold, lower is better; the order also counts agreement with the text.
        chance: (K,) that the target hand holds, as the judge says that learned on the Shadow hand.
        agreement: (K,) chance that the target hand touches where the text wants it; None where nothing tells.
    """

    grasps: GraspBatch
    target: Retargeted
    approach: Tensor
    cost: Tensor
    chance: Tensor
    agreement: Tensor | None

    def objection(self, row: int) -> str:
        """Return why a proposal is no grasp whatever the arm can do, or an empty text."""
        return self.target.objection(row)


def pose_of(grasps: GraspBatch) -> HandPose:
    """Return a batch's configurations."""
    return HandPose(grasps.joints, grasps.palm_rotation, grasps.palm_translation)


def refine_grasps(
    hand: HandModel, grasps: GraspBatch, geometry: ObjectGeometry, config: RefineConfig,
    movable: Tensor | None = None, hold_palm: bool = False, touch: Tensor | None = None,
) -> GraspBatch:  # fmt: skip
    """Bring sampled grasps into contact, solve their closing, and judge them.

    The best of those that hardly agree with the text are refined again, with hands off what the text wants left
    alone; of each the better one is kept.

    Args:
        movable: (22,) bool, joints that may move (an edit's fingers); None for all.
        hold_palm: keep the palm where it is.
        touch: chance of each of the geometry's points to be touched, as the text wants it; None judges holding alone.
    """
    scene = HandOnObject(hand, geometry.sdf, geometry.table_height)
    made = refine(scene, pose_of(grasps), config, movable=movable, hold_palm=hold_palm)
    judged, score = _judged(scene, grasps, made, geometry, touch)
    if touch is None or judged.agreement is None or config.steps == 0:
        return judged
    order = score.argsort(descending=True)
    astray = order[judged.agreement[order] < SURE][:SECOND_TRIES]
    if len(astray) == 0:
        return judged
    again = replace(config, steps=min(config.steps, SECOND_STEPS))
    made = refine_hands_off(scene, made.pose[astray], again, geometry.points, touch, movable, hold_palm)
    second, second_score = _judged(scene, grasps.index(astray), made, geometry, touch)
    kept = torch.arange(len(grasps))
    kept[astray] = torch.where(second_score > score[astray], len(grasps) + torch.arange(len(astray)), astray)
    return concatenate([judged, second]).index(kept)


def _judged(
    scene: HandOnObject, grasps: GraspBatch, made: RefineResult, geometry: ObjectGeometry, touch: Tensor | None
) -> tuple[GraspBatch, Tensor]:
    """Return grasps as refined, with their closing and what is to be said of them, and their scores (K,)."""
    closing = solve_closing(scene, made.pose)
    squeezed = squeeze_features(scene, made.pose, closing.squeeze)
    odds = hold_odds(scene, made.pose, closing, geometry.points, squeezed)
    if geometry.second is not None:  # what the squeeze does takes as long as all else: it is asked once
        other = HandOnObject(scene.hand, geometry.second, geometry.table_height)
        again = hold_odds(other, made.pose, solve_closing(other, made.pose), geometry.points, squeezed)
        odds = (odds + again) / 2
    agreement = None if touch is None else touch_agreement(scene, made.pose, geometry.points, touch)
    score = merit(odds, agreement)
    judged = grasps.replace(
        joints=made.pose.joints,
        palm_rotation=made.pose.rotation,
        palm_translation=made.pose.translation,
        pregrasp=closing.pregrasp,
        squeeze=closing.squeeze,
        chance=odds[:, 0].sigmoid(),
        agreement=agreement,
        score=score,
    )
    return judged, score


def with_open_hand(hand: HandModel, grasps: GraspBatch, geometry: ObjectGeometry) -> GraspBatch:
    """Return grasps, refined or not, with the pre-grasp and the squeeze that the hand itself is commanded.

    Where another hand takes grasps over nobody asks for them.
    """
    scene, pose = HandOnObject(hand, geometry.sdf, geometry.table_height), pose_of(grasps)
    pregrasp, squeeze = grasps.pregrasp, grasps.squeeze
    if pregrasp is None or squeeze is None:
        closing = solve_closing(scene, pose)
        pregrasp, squeeze = closing.pregrasp, closing.squeeze
    return grasps.replace(pregrasp=wide_open(scene, pose, pregrasp), squeeze=squeeze)


def judged(values: Tensor | None) -> Tensor:
    """Return what refinement writes into grasps.

    Raises:
        ValueError: when the grasps were never refined.
    """
    if values is None:
        raise ValueError("grasps are not judged: refine them first")
    return values


def concatenate(batches: list[GraspBatch]) -> GraspBatch:
    """Join batches that know the same things.

    Raises:
        UsageError: when there is none.
    """
    if not batches:
        raise UsageError("number of grasps 0 is below 1")
    joined = {}
    for field in fields(GraspBatch):
        values = [getattr(batch, field.name) for batch in batches]
        joined[field.name] = torch.cat(values) if isinstance(values[0], Tensor) else values[0]
    return GraspBatch(**joined)


@dataclass(frozen=True)
class Edit:
    """What an edit keeps: the target hand's configuration before it (one), and the parts that may move."""

    before: HandPose
    parts: tuple[str, ...]


def propose(
    shadow: HandModel,
    target: HandModel,
    grasps: GraspBatch,
    geometry: ObjectGeometry,
    approach_distance: float,
    touch: Tensor | None = None,
    edit: Edit | None = None,
) -> Proposals:
    """Retarget refined Shadow grasps and rank them by what the target hand would do; `touch` as in `refine_grasps`."""
    shadow_scene = HandOnObject(shadow, geometry.sdf, geometry.table_height)
    scene = HandOnObject(target, geometry.sdf, geometry.table_height)
    if target.name == shadow.name:
        made = _as_is(shadow_scene, grasps)
        chance = torch.ones(len(grasps.joints)) if grasps.chance is None else grasps.chance
    else:
        fingers = touching_fingers(shadow_scene, pose_of(grasps))
        made = retarget(shadow, pose_of(grasps), scene, fingers, keep=None if edit is None else _kept(target, edit))
        chance = _chance(scene, made, geometry)
    open_hand = replace(made.pose, joints=made.pregrasp)
    direction, crowding = approach_direction(scene, open_hand, approach_distance)
    cost = made.cost + CROWDING_WEIGHT * crowding - DOUBT_WEIGHT * chance.log()
    agreement = None if touch is None else touch_agreement(scene, made.pose, geometry.points, touch)
    order = rank_cost(cost, agreement).argsort()
    return Proposals(
        grasps.index(order), made.rows(order), direction[order], cost[order], chance[order],
        None if agreement is None else agreement[order],
    )  # fmt: skip


def rank_cost(cost: Tensor, agreement: Tensor | None) -> Tensor:
    """Return what proposals are ranked by (K,), lower is better: doubt that they hold, and to agree with the text."""
    return cost if agreement is None else cost - MISS_WEIGHT * agreement.clamp_min(1e-6).log()


def _chance(scene: HandOnObject, made: Retargeted, geometry: ObjectGeometry) -> Tensor:
    """Return the chance (K,) that the target hand holds, as the judge says that learned on the Shadow; never zero."""
    closing = solve_closing(scene, made.pose, replace(PRESSING, stiffness=scene.hand.spec.stiffness))
    return hold_odds(scene, made.pose, closing, geometry.points)[:, 0].clamp(-ODDS, ODDS).sigmoid()


def _kept(target: HandModel, edit: Edit) -> Kept:
    """Return what retargeting holds: the palm unless it was asked for, and joints of unnamed parts."""
    movable = torch.tensor([target.part_names[int(part)] in edit.parts for part in target.joint_part])
    return Kept(edit.before, movable, "palm" not in edit.parts)


def _as_is(scene: HandOnObject, grasps: GraspBatch) -> Retargeted:
    """The target hand is the Shadow hand: nothing to map."""
    pose = pose_of(grasps)
    closing: Closing = solve_closing(scene, pose)
    hand = scene.hand
    score = grasps.score if grasps.score is not None else torch.zeros(len(pose))
    error = torch.zeros(len(pose), len(hand.finger_names))
    pregrasp = wide_open(scene, pose, closing.pregrasp)
    return Retargeted(
        pose, pregrasp, hand.clamp(closing.squeeze), -score, closing.residual, error, error, hand.finger_names,
        scene.penetration(pose), pressed_slope(scene, closing, pose),
    )  # fmt: skip
