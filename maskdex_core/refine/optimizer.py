"""Contact refinement: damped Gauss–Newton on the grasp's residuals, for any hand, in batches.

Serves sampling, synthesis and retargeting. A grasp in contact stays where it is, one that is nearly
in contact closes in few steps: the step follows the gap, where a first-order method kicks by its
rate (Levenberg 1944, Marquardt 1963; accept or undo by sample).

Index legend: B batch, C contact links, J driven joints, D = J + 6 unknowns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from maskdex_core.hands.model import HandModel
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.residuals import CLEARANCE, ErrorScales, Goal, GraspResiduals, Residuals
from maskdex_core.refine.rows import apply_step

AT_LIMIT = 1e-5  # rad from a limit within which a joint stands at it


@dataclass(frozen=True)
class RefineConfig:
    """Effort.

    Attributes:
        steps: Gauss–Newton steps.
        damping: first damping, in units of the prior's weights.
        largest_bend, largest_turn: rad; largest_shift: m a step.
        touch: m; links nearer than this to the surface should touch.
        attract: m; so should fingertips nearer than this.
        clearance: m that every sphere keeps from the object.
        scales: the errors that cost 1.
    """

    steps: int = 20
    damping: float = 1.0
    largest_bend: float = 0.15
    largest_turn: float = 0.10
    largest_shift: float = 0.008
    touch: float = 0.004
    attract: float = 0.020
    clearance: float = CLEARANCE
    scales: ErrorScales = field(default_factory=ErrorScales)


class Objective(Protocol):
    """What is minimised: residuals of a pose, and the weight (D,) of each unknown that damping is in units of."""

    prior_weight: Tensor

    def __call__(self, pose: HandPose) -> Residuals:
        """Return the residuals at a pose."""
        ...


@dataclass(frozen=True)
class RefineResult:
    """Refined configurations, their energy (B,), and the links that should touch (B, C)."""

    pose: HandPose
    energy: Tensor
    active: Tensor


def refine(
    scene: HandOnObject,
    start: HandPose,
    config: RefineConfig,
    active: Tensor | None = None,
    movable: Tensor | None = None,
    hold_palm: bool = False,
    goal: Goal | None = None,
    further: Tensor | float = 0.0,
) -> RefineResult:
    """Bring configurations into contact without leaving them.

    Args:
        scene: the hand on the object.
        start: proposals.
        config: effort and scales.
        active: (B, C) 0..1, links that should touch; by default those that nearly do.
        movable: (J,) bool, joints that may move; by default all.
        hold_palm: keep the palm exactly where it is.
        goal: further residuals, such as fingertip goals.
        further: (B, S) m that spheres keep from the object beyond `config.clearance`.
    """
    with torch.no_grad():
        if active is None:
            active = nearly_touching(scene, start, config)
        residuals = GraspResiduals(scene, config.scales, start, active, goal, config.clearance + further)
        free = torch.ones(start.joints.shape[1] + 6)
        if movable is not None:
            free[: start.joints.shape[1]] = movable.float()
        if hold_palm:
            free[-6:] = 0.0
        pose, energy = descend(scene.hand, residuals, start, config, free)
        joints = pose.joints if movable is None else torch.where(movable, pose.joints, start.joints)
        if hold_palm:
            pose = HandPose(joints, start.rotation, start.translation)
        return RefineResult(HandPose(joints, pose.rotation, pose.translation), energy, active)


def nearly_touching(scene: HandOnObject, pose: HandPose, config: RefineConfig) -> Tensor:
    """Return (B, C) float: links within `touch`, and outermost links within `attract`."""
    gap = scene.contacts(pose).gap
    outer = outermost_links(scene)
    return ((gap < config.touch) | ((gap < config.attract) & outer)).float()


def outermost_links(scene: HandOnObject) -> Tensor:
    """Return (C,) bool: the contact links that carry a fingertip."""
    tips = {tip["link"] for tip in scene.hand.spec.tips.values()}
    return torch.tensor([name in tips for name in scene.hand.spec.contact_links])


def descend(
    hand: HandModel,
    residuals: Objective,
    start: HandPose,
    config: RefineConfig,
    free: Tensor,
    bound: Callable[[HandPose], HandPose] | None = None,
) -> tuple[HandPose, Tensor]:
    """Minimise residuals of a hand by damped Gauss–Newton; the steps of `config`, nothing else of it.

    Args:
        hand: whose joint limits hold.
        residuals: what is minimised.
        start: B configurations.
        free: (D,) 1 for unknowns that may move, 0 for those that are held.
        bound: brings a pose back into where it may be; None for anywhere.

    Returns:
        The poses and their energy (B,).
    """
    pose, now = start, Quadratic.of(residuals(start))
    damping = torch.full((len(start),), config.damping)
    joints = start.joints.shape[1]
    largest = torch.tensor([config.largest_bend] * joints + [config.largest_turn] * 3 + [config.largest_shift] * 3)
    weight = torch.diag(residuals.prior_weight.square())
    for _ in range(config.steps):
        movable = free * _not_at_limits(hand, pose, now.gradient)
        trial = apply_step(hand, pose, _step(now, damping[:, None, None] * weight, movable, largest))
        if bound is not None:
            trial = bound(trial)
        then = Quadratic.of(residuals(trial))
        # A finger must not jump through a thin wall: steps that make things worse are undone.
        better = then.energy < now.energy
        pose, now = trial.where(better, pose), then.where(better, now)
        damping = torch.where(better, damping / 3, damping * 4).clamp(0.01, 1e4)
    return pose, now.energy


@dataclass(frozen=True)
class Quadratic:
    """The sum of squares near a pose: energy (B,), half its gradient (B, D), half its curvature (B, D, D)."""

    energy: Tensor
    gradient: Tensor
    curvature: Tensor

    @staticmethod
    def of(residuals: Residuals) -> Quadratic:
        """Return Gauss and Newton's: the residuals' own curvature is left out."""
        values, slopes = residuals.values, residuals.rows.transpose(1, 2)
        gradient = (slopes @ values[..., None]).squeeze(-1)
        return Quadratic(values.square().sum(-1), gradient, slopes @ residuals.rows)

    def where(self, condition: Tensor, other: Quadratic) -> Quadratic:
        """Return this where `condition` (B,) holds, the other elsewhere."""
        return Quadratic(
            torch.where(condition, self.energy, other.energy),
            torch.where(condition[:, None], self.gradient, other.gradient),
            torch.where(condition[:, None, None], self.curvature, other.curvature),
        )


def _not_at_limits(hand: HandModel, pose: HandPose, gradient: Tensor) -> Tensor:
    """Return (B, D) float: 0 for joints that stand at a limit which the gradient pushes them against."""
    count = pose.joints.shape[1]
    downhill = gradient[:, :count]
    stuck = ((pose.joints <= hand.lower + AT_LIMIT) & (downhill > 0)) | (
        (pose.joints >= hand.upper - AT_LIMIT) & (downhill < 0)
    )
    movable = torch.ones_like(gradient)
    movable[:, :count] = (~stuck).float()
    return movable


def _step(now: Quadratic, damping: Tensor, free: Tensor, largest: Tensor) -> Tensor:
    # Held unknowns are taken out before the solve: the free ones must not count on their help.
    normal = now.curvature * free[:, :, None] * free[:, None] + damping
    step = -torch.linalg.solve(normal, now.gradient * free) * free
    # Shorten the whole step rather than single entries: its direction is what was solved for.
    return step * (largest / step.abs().clamp(min=1e-9)).amin(-1, keepdim=True).clamp(max=1.0)
