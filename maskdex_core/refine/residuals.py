"""What is wrong with a grasp, as residuals and how they change with the pose.

Every residual is of order 1 for an error a user would see; the energy is their sum of squares.

Index legend: B batch, S spheres, C contact links, D unknowns (see `rows.py`), N residuals, P pairs of spheres.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from maskdex_core.hands.model import HandModel
from maskdex_core.refine.contacts import HandOnObject, HandView
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.rows import HandMotion

GAP_TARGET = 0.0008  # m: contacts stop short of the surface, so that nothing penetrates
CLEARANCE = 0.0005  # m that spheres which are no contact keep from the object
SELF_CLEARANCE = 0.001
TABLE_CLEARANCE = 0.002
SELF_PAIRS = 12  # the deepest overlaps of fingers, which is all there ever are


@dataclass(frozen=True)
class Residuals:
    """values (B, N) and their Jacobian rows (B, N, D). What is zero and stays so for a small step may be left out."""

    values: Tensor
    rows: Tensor

    @staticmethod
    def joined(parts: list[Residuals]) -> Residuals:
        """Put residuals one after another."""
        return Residuals(torch.cat([p.values for p in parts], 1), torch.cat([p.rows for p in parts], 1))


Goal = Callable[[HandPose, HandMotion, HandView], Residuals]
"""Residuals of one's own: a pose, how its points move, and where its spheres are."""


@dataclass(frozen=True)
class ErrorScales:
    """The errors that cost 1.

    Attributes:
        gap, penetration, table, self_collision: m.
        reach: m; a link farther than this from the surface hardly pulls more (robust kernel).
        joint, turn: rad, shift: m, of moving away from the start.
    """

    gap: float = 0.002
    penetration: float = 0.0005
    table: float = 0.002
    self_collision: float = 0.001
    reach: float = 0.010
    joint: float = 1.0
    turn: float = 0.5
    shift: float = 0.03


class GraspResiduals:
    """Residuals of a hand on an object relative to a start and to the links that should touch."""

    def __init__(
        self,
        scene: HandOnObject,
        scales: ErrorScales,
        start: HandPose,
        active: Tensor,
        goal: Goal | None = None,
        clearance: Tensor | float = CLEARANCE,
    ) -> None:
        """Take scene, scales, start (prior), `active` (B, C) 0..1, residuals of one's own, clearance (m, or (B, S))."""
        self._scene, self._scales, self._start, self._active, self._goal = scene, scales, start, active, goal
        # Boxes keep their edges out too: what stops short of a surface closes softly, what is inside kicks.
        self._clearance = clearance + scene.hand.sphere_edge
        self._pairs, self._reach = finger_reach(scene.hand)
        joints = start.joints.shape[1]
        self.prior_weight = 1 / torch.tensor([scales.joint] * joints + [scales.turn] * 3 + [scales.shift] * 3)
        self._prior_rows = torch.diag(self.prior_weight).expand(len(active), -1, -1)

    def __call__(self, pose: HandPose) -> Residuals:
        """Return the residuals at a pose; those of spheres that keep their clearance are left out."""
        view = self._scene.look(pose)
        motion = HandMotion(self._scene.hand, pose, view.links)
        parts = [self._of_spheres(view, motion), self._prior(pose)]
        parts += self._self_collision(view.centers, motion)
        if self._goal is not None:
            parts.append(self._goal(pose, motion, view))
        return Residuals.joined(parts)

    def _of_spheres(self, view: HandView, motion: HandMotion) -> Residuals:
        """Return what is too near the object or the table, and the gaps of contacts."""
        hand, scales = self._scene.hand, self._scales
        lacking, slope, sphere, direction = self._too_near(view)
        error = view.contacts.gap - GAP_TARGET
        pull = self._active.sqrt() / (1 + (error.clamp(min=0) / scales.reach).square()).sqrt() / scales.gap
        sphere = torch.cat([sphere, view.contacts.sphere], 1)
        direction = torch.cat([direction, view.contacts.normal], 1)
        points = view.centers.gather(1, sphere[..., None].expand(-1, -1, 3))
        rows = motion.along(hand.sphere_link[sphere], points, direction)
        return Residuals(torch.cat([lacking, pull * error], 1), rows * torch.cat([slope, pull], 1)[..., None])

    def _too_near(self, view: HandView) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return values and slopes (B, N), spheres (B, N) and directions (B, N, 3) of clearances that are not kept.

        N is that of the sample with most of them; the others are filled up with spheres that lack nothing.
        """
        hand, scales, height = self._scene.hand, self._scales, self._scene.table_height
        lacking = (self._clearance - view.skin) / scales.penetration
        if height is not None:
            low = hand.sphere_radius + (height + TABLE_CLEARANCE) - view.centers[..., 2]
            lacking = torch.cat([lacking, low / scales.table], 1)  # (B, 2S)
        value, which = _deepest(lacking)
        count = view.skin.shape[1]
        on_table = which >= count
        sphere = torch.where(on_table, which - count, which)
        direction = view.normal.gather(1, sphere[..., None].expand(-1, -1, 3))
        direction = torch.where(on_table[..., None], torch.tensor([0.0, 0.0, 1.0]), direction)
        slope = torch.where(on_table, -1 / scales.table, -1 / scales.penetration)
        return value, slope * (value > 0), sphere, direction

    def _self_collision(self, centers: Tensor, motion: HandMotion) -> list[Residuals]:
        """Return how deep fingers stand in each other: nothing when none does."""
        found = overlaps(centers, self._pairs, self._reach)
        if found is None:
            return []
        depth, first, second = found
        a, b = (centers.gather(1, i[..., None].expand(-1, -1, 3)) for i in (first, second))
        link, apart = self._scene.hand.sphere_link, F.normalize(a - b, dim=-1)
        rows = motion.along(link[first], a, apart) - motion.along(link[second], b, apart)
        scale = self._scales.self_collision
        return [Residuals(depth / scale, rows * ((depth > 0) / -scale)[..., None])]

    def _prior(self, pose: HandPose) -> Residuals:
        start = self._start
        relative = (pose.rotation @ start.rotation.transpose(1, 2)).flatten(1)
        turned = (relative[:, [7, 2, 3]] - relative[:, [5, 6, 1]]) / 2  # the rotation's skew part
        moved = torch.cat([pose.joints - start.joints, turned, pose.translation - start.translation], -1)
        return Residuals(moved * self.prior_weight, self._prior_rows)


def _deepest(lacking: Tensor) -> tuple[Tensor, Tensor]:
    """Return the positive entries of each row (B, M) and where they are, padded with zeros: both (B, N)."""
    count = int((lacking > 0).sum(1).max())
    value, which = lacking.topk(count, dim=1)
    return value.clamp(min=0), which


def overlaps(centers: Tensor, pairs: tuple[Tensor, Tensor], reach: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
    """Return depth (B, N) in m, first and second sphere (B, N) of the deepest pairs that stand in each other.

    Args:
        centers: (B, S, 3) m. pairs: spheres (P,), (P,). reach: (P,) m that the spheres of a pair keep.

    Returns:
        At most `SELF_PAIRS` of each sample, those with fewer padded with depth 0; None when no sample has any.
    """
    one, other = pairs
    planes = centers.permute(1, 2, 0).contiguous()  # (S, 3, B): whole rows are copied and added up
    apart = (planes.index_select(0, one) - planes.index_select(0, other)).square_().sum(1)  # (P, B) m²
    pair, row = torch.nonzero(apart < reach.square()[:, None], as_tuple=True)
    if len(pair) == 0:
        return None
    depth = reach[pair] - apart[pair, row].clamp(min=1e-10).sqrt()
    order = depth.argsort(descending=True)
    order = order[row[order].argsort(stable=True)]  # sample by sample, the deepest first
    pair, row, depth = pair[order], row[order], depth[order]
    count = torch.bincount(row, minlength=len(centers))
    rank = torch.arange(len(row)) - (count.cumsum(0) - count)[row]
    kept = rank < SELF_PAIRS
    place = (row[kept], rank[kept])
    shape = (len(centers), int(rank[kept].max()) + 1)
    return (
        torch.zeros(shape).index_put_(place, depth[kept]),
        torch.zeros(shape, dtype=torch.long).index_put_(place, one[pair[kept]]),
        torch.zeros(shape, dtype=torch.long).index_put_(place, other[pair[kept]]),
    )


@lru_cache(maxsize=16)
def finger_reach(hand: HandModel) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Return the pairs of the fingers' spheres (P,), (P,) that can meet, and the distance (P,) m that each keeps.

    Spheres of one finger, and those that overlap with the hand flat, keep none and are left out.
    """
    finger = torch.nonzero(hand.sphere_part > 0).flatten()
    flat = hand.clamp(torch.zeros(1, len(hand.joint_names)))
    centers = hand.place(hand.link_transforms(flat), hand.sphere_link, hand.sphere_center)[0, finger]
    radius = hand.sphere_radius[finger] + hand.sphere_edge[finger]
    touching = radius[:, None] + radius
    apart = (centers[:, None] - centers).norm(dim=-1) > touching
    part = hand.sphere_part[finger]
    one, other = torch.nonzero(torch.triu(apart & (part[:, None] != part)), as_tuple=True)
    return (finger[one], finger[other]), touching[one, other] + SELF_CLEARANCE


def self_depth(hand: HandModel, pose: HandPose) -> Tensor:
    """Return how deep (B,) in m fingers stand in each other, boxes with their edges."""
    (one, other), reach = finger_reach(hand)
    if len(one) == 0:
        return torch.zeros(len(pose))
    placed = hand.place(hand.link_transforms(pose.joints), hand.sphere_link, hand.sphere_center)
    apart = (placed[:, one] - placed[:, other]).norm(dim=-1)
    return (reach - SELF_CLEARANCE - apart).amax(-1).clamp(min=0)
