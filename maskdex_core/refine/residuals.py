"""What is wrong with a grasp, as residuals and how they change with the pose.

Every residual is of order 1 for an error a user would see; the energy is their sum of squares.

Index legend: B batch, S spheres, C contact links, D unknowns (see `rows.py`), N residuals, P pairs of spheres.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
    """values (B, N) and their Jacobian rows (B, N, D)."""

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
        clearance: float = CLEARANCE,
    ) -> None:
        """Take the scene, scales, the start (prior), `active` (B, C) 0..1, residuals of one's own, clearance (m)."""
        self._scene, self._scales, self._start, self._active, self._goal = scene, scales, start, active, goal
        # Boxes keep their edges out too: what stops short of a surface closes softly, what is inside kicks.
        self._clearance = clearance + scene.hand.sphere_edge
        self._pairs, self._reach = finger_reach(scene.hand)
        joints = start.joints.shape[1]
        self.prior_weight = 1 / torch.tensor([scales.joint] * joints + [scales.turn] * 3 + [scales.shift] * 3)

    def __call__(self, pose: HandPose) -> Residuals:
        """Return all residuals at a pose."""
        view = self._scene.look(pose)
        motion = HandMotion(self._scene.hand, pose, view.transforms)
        along = motion.along(self._scene.hand.sphere_link, view.centers, view.normal)  # (B, S, D)
        parts = [
            _below(view.skin - self._clearance, along, self._scales.penetration),
            self._gap(view, along),
            self._self_collision(view.centers, motion),
            self._prior(pose),
        ]
        if self._scene.table_height is not None:
            parts.append(self._table(view.centers, motion, self._scene.table_height))
        if self._goal is not None:
            parts.append(self._goal(pose, motion, view))
        return Residuals.joined(parts)

    def _gap(self, view: HandView, along: Tensor) -> Residuals:
        error = view.contacts.gap - GAP_TARGET
        pull = self._active.sqrt() / (1 + (error.clamp(min=0) / self._scales.reach).square()).sqrt()
        rows = along.gather(1, view.contacts.sphere[..., None].expand(-1, -1, along.shape[-1]))
        return Residuals(pull * error / self._scales.gap, rows * (pull / self._scales.gap)[..., None])

    def _table(self, centers: Tensor, motion: HandMotion, height: float) -> Residuals:
        hand = self._scene.hand
        up = torch.zeros_like(centers)
        up[..., 2] = 1.0
        above = centers[..., 2] - hand.sphere_radius - height - TABLE_CLEARANCE
        return _below(above, motion.along(hand.sphere_link, centers, up), self._scales.table)

    def _self_collision(self, centers: Tensor, motion: HandMotion) -> Residuals:
        link, (one, other) = self._scene.hand.sphere_link, self._pairs
        distance = (centers[:, one] - centers[:, other]).square().sum(-1).clamp(min=1e-10).sqrt()
        depth, pair = (self._reach - distance).clamp(min=0).topk(min(SELF_PAIRS, len(one)), dim=-1)
        first, second = one[pair], other[pair]
        a, b = (centers.gather(1, i[..., None].expand(-1, -1, 3)) for i in (first, second))
        apart = F.normalize(a - b, dim=-1)
        rows = motion.along(link[first], a, apart) - motion.along(link[second], b, apart)
        return _below(-depth, rows, self._scales.self_collision)

    def _prior(self, pose: HandPose) -> Residuals:
        start = self._start
        relative = pose.rotation @ start.rotation.transpose(1, 2)
        turned = torch.stack([relative[:, 2, 1] - relative[:, 1, 2], relative[:, 0, 2] - relative[:, 2, 0],
                              relative[:, 1, 0] - relative[:, 0, 1]], -1) / 2  # fmt: skip
        moved = torch.cat([pose.joints - start.joints, turned, pose.translation - start.translation], -1)
        rows = torch.diag(self.prior_weight).expand(len(moved), -1, -1)
        return Residuals(moved * self.prior_weight, rows)


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


def _below(clearance: Tensor, rows: Tensor, scale: float) -> Residuals:
    """Return one-sided residuals: what is missing to a clearance of 0 m, in units of `scale`."""
    lacking = (-clearance).clamp(min=0)
    return Residuals(lacking / scale, -rows / scale * (lacking > 0)[..., None])
