"""Map grasps of one hand onto another: fingertips first, then the contacts, then the squeeze of that hand.

What counts is that the target hand holds the object. Its fingertips are put where the source's were, without
the object; from there the contact optimiser brings the links that should touch to the places where the
source touched. Several starts are tried, the best are finished, and the one whose squeeze balances best is kept.

Index legend: B grasps, F fingers both hands have, T tries.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

import torch
from torch import Tensor

from maskdex_core.hands.model import HandModel
from maskdex_core.refine.contacts import HandOnObject, HandView
from maskdex_core.refine.optimizer import RefineConfig, RefineResult, descend, nearly_touching, refine
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.pregrasp import cleared
from maskdex_core.refine.ranking import ENERGY_SCALE
from maskdex_core.refine.residuals import ErrorScales, Goal, Residuals, self_depth
from maskdex_core.refine.rows import HandMotion
from maskdex_core.refine.squeeze import SqueezeConfig, solve_closing
from maskdex_core.refine.table_guard import TableGuard
from maskdex_core.retarget.contact_goal import REACH, ContactGoal, contact_goal
from maskdex_core.retarget.fingertips import Fingertips, MatchConfig, match_from
from maskdex_core.retarget.landmarks import aligned, shared_fingers
from maskdex_core.retarget.slope import LEVEL, level_goal, pressed_slope

SCALES = ErrorScales(joint=3.0, turn=2.0, shift=0.1)
DEEPEST = 0.004  # m inside the geometry, which is itself a guess behind the object
LOOSEST = 0.5  # share of the squeeze's force that its contacts may leave unbalanced
PRESSING = SqueezeConfig(least_lever=0.03)
SLOPE_WEIGHT = 0.1  # cost of a unit of slope above that


@dataclass(frozen=True)
class RetargetConfig:
    """Effort and emphasis.

    Attributes:
        match: fingertips alone. sort: refinement on the object of all tries. finished: how many of each grasp go
            on. contact: refinement of those.
        contact_scale, idle_scale: m; the error that costs 1 of a contact's place, and of a fingertip that need
            not touch.
        free_share: weight of a finger that does not touch, relative to one that does, in `match`.
        closings: how far the hand is closed at each start, 0 open, 1 closed; the best try counts.
        squeeze: forces of the squeeze; its stiffness is the target hand's.
    """

    match: MatchConfig = field(default_factory=MatchConfig)
    sort: RefineConfig = field(default_factory=lambda: RefineConfig(steps=8, scales=SCALES))
    finished: int = 2
    contact: RefineConfig = field(default_factory=lambda: RefineConfig(steps=14, scales=SCALES))
    contact_scale: float = 0.004
    idle_scale: float = 0.030
    free_share: float = 0.1
    closings: tuple[float, ...] = (0.5, 0.3, 0.7, 0.15)
    squeeze: SqueezeConfig = PRESSING


@dataclass(frozen=True)
class Retargeted:
    """B grasps of the target hand.

    Attributes:
        pose: configuration in contact. pregrasp, squeeze: (B, J) rad, inside the joint limits.
        energy: (B,) refined energy, lower is better. residual: (B,) wrench left, share of the force.
        tip_error: (B, F) m between target and source fingertips. contact_error: (B, F) m between the places
            where they touch, NaN for fingers that need not. fingers: the F names.
        penetration: (B,) m.
        slope: (B,) how far the surfaces that are pressed look up, 0 all level or down, 1 all straight up.
    """

    pose: HandPose
    pregrasp: Tensor
    squeeze: Tensor
    energy: Tensor
    residual: Tensor
    tip_error: Tensor
    contact_error: Tensor
    fingers: tuple[str, ...]
    penetration: Tensor
    slope: Tensor

    @property
    def cost(self) -> Tensor:
        """(B,) what a grasp lacks as a hold: wrench left, depth, of which `DEEPEST` is as bad as no balance, and slope.

        What is pressed from above is held by friction alone, and slips where a normal was guessed wrong. The energy has
        no say: it tells how near a grasp is to the source's, not whether it holds.
        """
        slope = SLOPE_WEIGHT * (self.slope - LEVEL).clamp(min=0.0)
        return self.residual + self.penetration / DEEPEST + slope

    def rows(self, index: Tensor) -> Retargeted:
        """Return the grasps at some indices."""
        kept = {f.name: getattr(self, f.name) for f in fields(self)}
        return Retargeted(**{name: value if name == "fingers" else value[index] for name, value in kept.items()})

    def contact_errors(self, row: int) -> dict[str, float]:
        """Return finger → m of `contact_error` of one grasp, of the fingers that should touch."""
        errors = zip(self.fingers, self.contact_error[row].tolist(), strict=True)
        return {finger: error for finger, error in errors if not math.isnan(error)}

    def objection(self, row: int) -> str:
        """Return why a grasp cannot hold its object, or an empty text."""
        depth, residual = float(self.penetration[row]), float(self.residual[row])
        if depth > DEEPEST:
            return f"grasp: the hand would be {1e3 * depth:.1f} mm inside the object; at most {1e3 * DEEPEST:g} mm"
        if residual > LOOSEST:
            return f"grasp: {100 * residual:.0f} % of the squeeze stay unbalanced; at most {100 * LOOSEST:g} %"
        return ""


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
    with torch.no_grad():
        goal = contact_goal(source, grasp, scene, shared_fingers(source, scene.hand), source_touch)
        if keep is None:
            starts = _starts(source, grasp, scene.hand, goal, config)
            return _best_contact(scene, starts, goal, config)
        starts = [_edited(scene.hand, goal, keep, config)]
        return _best_contact(scene, starts, goal, config, movable=keep.movable, hold_palm=keep.palm)


def touching_fingers(scene: HandOnObject, pose: HandPose, reach: float = REACH) -> Tensor:
    """Return (B, fingers) bool: which fingers have a contact link within `reach` m of the object."""
    hand = scene.hand
    with torch.no_grad():
        near = scene.contacts(pose).gap < reach
    part = hand.link_part[hand.contact_link_index]
    index = [hand.part_names.index(finger) for finger in hand.finger_names]
    return torch.stack([near[:, part == i].any(-1) for i in index], -1)


def _starts(
    source: HandModel, grasp: HandPose, target: HandModel, goal: ContactGoal, config: RetargetConfig
) -> list[HandPose]:
    """Return the target hand with its fingertips at the source's, from every closing."""
    laid = [aligned(source, grasp, target, goal.fingers, closing) for closing in config.closings]
    count = len(laid)
    weight = torch.where(goal.touch, 1.0, config.free_share).repeat(count, 1)
    start = HandPose.joined(laid)
    matched = match_from(target, start, goal.fingers, goal.tips.repeat(count, 1, 1), weight, config.match)
    return [matched.pose[slice(first, first + len(grasp))] for first in range(0, len(start), len(grasp))]


def _edited(target: HandModel, goal: ContactGoal, keep: Kept, config: RetargetConfig) -> HandPose:
    """Return the earlier configuration with what may move brought to the fingertips."""
    start = keep.before[[0] * len(goal.tips)]
    free = torch.cat([keep.movable.float(), torch.full((6,), 0.0 if keep.palm else 1.0)])
    tips = Fingertips(target, goal.fingers, goal.tips, torch.where(goal.touch, 1.0, config.free_share))
    pose, _ = descend(target, tips, start, config.match.descent, free)
    return pose


def _best_contact(
    scene: HandOnObject,
    starts: list[HandPose],
    goal: ContactGoal,
    config: RetargetConfig,
    movable: Tensor | None = None,
    hold_palm: bool = False,
) -> Retargeted:
    """Refine every start twice, with the source's contacts and with all that lies near; finish the best, keep one."""
    wanted = goal.active(scene.hand)
    near = [torch.maximum(wanted, nearly_touching(scene, start, config.contact)) for start in starts]
    active = torch.cat([links for also in near for links in (wanted, also)])
    pose = HandPose.joined([start for start in starts for _ in range(2)])
    goals = goal.repeated(2 * len(starts))
    guard = None if scene.table_height is None else TableGuard(scene.hand, scene.table_height)
    stages = ((config.sort, config.finished), (config.contact, 1))
    for effort, kept in stages:
        asked = [goals.residuals(scene.hand, config.contact_scale, config.idle_scale)]
        if guard is not None:
            asked += [guard.residuals, level_goal(scene.hand, active)]
        made = refine(scene, pose, effort, active, movable=movable, hold_palm=hold_palm, goal=_all_of(asked))
        tries, cost = _judged(scene, made, goals, config)
        order = cost.reshape(-1, len(wanted)).argsort(dim=0, stable=True)[:kept]
        rows = (order * len(wanted) + torch.arange(len(wanted))).flatten()
        pose, active, goals = tries.pose[rows], active[rows], goal.repeated(len(order))
    best = tries.rows(rows)
    squeeze = best.squeeze if guard is None else guard.raised(best.pose, best.squeeze)
    return replace(best, pregrasp=cleared(scene, best.pose, best.pregrasp), squeeze=squeeze)


def _all_of(goals: Sequence[Goal]) -> Goal:
    """Return the residuals of several goals as one."""

    def residuals(pose: HandPose, motion: HandMotion, view: HandView) -> Residuals:
        return Residuals.joined([goal(pose, motion, view) for goal in goals])

    return residuals


def _judged(
    scene: HandOnObject, made: RefineResult, goals: ContactGoal, config: RetargetConfig
) -> tuple[Retargeted, Tensor]:
    """Return refined tries with their squeeze, and what each costs: wrench left, depth in the object and in itself."""
    hand, pose = scene.hand, made.pose
    closing = solve_closing(scene, pose, replace(config.squeeze, stiffness=hand.spec.stiffness))
    depth, slope = scene.penetration(pose), pressed_slope(scene, closing, pose)
    columns = [hand.finger_names.index(finger) for finger in goals.fingers]
    tips = pose.to_object(hand.tip_points(pose.joints))[:, columns]
    tries = Retargeted(
        pose, closing.pregrasp, hand.clamp(closing.squeeze), made.energy, closing.residual,
        (tips - goals.tips).norm(dim=-1), goals.error(scene, pose), goals.fingers, depth, slope,
    )  # fmt: skip
    return tries, tries.cost + made.energy / ENERGY_SCALE + self_depth(hand, pose) / DEEPEST
