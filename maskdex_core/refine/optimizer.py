"""Batched contact refinement: bring proposals into contact without leaving them.

Serves sampling (few steps, near the tokens), synthesis (many steps, far) and retargeting
(another hand's kinematics).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from maskdex_core.refine.energy import ContactEnergy, EnergyTerms, EnergyWeights
from maskdex_core.refine.pose import HandPose


@dataclass(frozen=True)
class RefineConfig:
    """How far and how fast.

    Attributes:
        steps: optimiser steps.
        joint_rate: rad a step; translation_rate: m a step; rotation_rate: (6D entries) a step.
        final_rate: share of the rates left at the last step (linear decay).
        attract: m; links nearer than this to the surface are drawn into contact.
        weights: of the energy's terms.
    """

    steps: int = 30
    joint_rate: float = 0.02
    translation_rate: float = 0.001
    rotation_rate: float = 0.01
    final_rate: float = 0.1
    attract: float = 0.015
    weights: EnergyWeights = field(default_factory=EnergyWeights)


@dataclass(frozen=True)
class RefineResult:
    """Refined configurations, their energy (B,), its terms, and the links that should touch (B, C)."""

    pose: HandPose
    energy: Tensor
    terms: EnergyTerms
    active: Tensor


def refine(
    energy: ContactEnergy,
    start: HandPose,
    config: RefineConfig,
    active: Tensor | None = None,
    movable: Tensor | None = None,
    hold_palm: bool = False,
    attraction: Callable[[HandPose], Tensor] | None = None,
) -> RefineResult:
    """Minimise the contact energy from `start`.

    Args:
        energy: of the hand on the object.
        start: proposals.
        config: step counts and rates.
        active: (B, C) links that should touch; by default those that nearly do.
        movable: (J,) bool, joints that may move; by default all.
        hold_palm: keep the palm where it is.
        attraction: a further energy (B,) of a configuration, such as fingertip goals.
    """
    if active is None:
        active = nearly_touching(energy, start, config.attract)
    hand = energy.hand
    joints = start.joints.clone().requires_grad_()
    columns = start.rotation[:, :, :2].clone().requires_grad_()
    translation = start.translation.clone().requires_grad_()
    force = torch.zeros(*active.shape, 3, requires_grad=True)
    rates = [config.joint_rate, 0.0 if hold_palm else config.rotation_rate,
             0.0 if hold_palm else config.translation_rate, 0.1]  # fmt: skip
    groups = [
        {"params": [p], "lr": rate} for p, rate in zip((joints, columns, translation, force), rates, strict=True)
    ]
    optimizer = torch.optim.Adam(groups, betas=(0.8, 0.95))
    frozen = None if movable is None else ~movable
    for step in range(config.steps):
        decay = 1 - (1 - config.final_rate) * step / max(1, config.steps - 1)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * decay
        optimizer.zero_grad(set_to_none=True)
        pose = HandPose(joints, rotation_from_columns(columns), translation)
        cost = energy(pose, start, active, force).total(config.weights).sum()
        if attraction is not None:
            cost = cost + attraction(pose).sum()
        cost.backward()
        if frozen is not None and joints.grad is not None:
            joints.grad[:, frozen] = 0.0
        optimizer.step()
        with torch.no_grad():
            joints.copy_(hand.clamp(joints))
            if hold_palm:
                columns.copy_(start.rotation[:, :, :2])
    with torch.no_grad():
        rotation = start.rotation if hold_palm else rotation_from_columns(columns)
        final = HandPose(joints.detach(), rotation.detach(), translation.detach())
        terms = energy(final, start, active, force)
    return RefineResult(final, terms.total(config.weights), terms, active)


def nearly_touching(energy: ContactEnergy, pose: HandPose, reach: float) -> Tensor:
    """Return (B, C) float: the contact links whose gap is below `reach` m; at least the two nearest."""
    with torch.no_grad():
        gap = energy.contacts(pose).gap
    second = gap.kthvalue(2, dim=-1).values
    return (gap <= torch.maximum(second, torch.full_like(second, reach))[:, None]).float()


def rotation_from_columns(columns: Tensor) -> Tensor:
    """Return rotations (B, 3, 3) from two free columns (B, 3, 2) by Gram-Schmidt."""
    first = F.normalize(columns[..., 0], dim=-1)
    second = F.normalize(columns[..., 1] - (first * columns[..., 1]).sum(-1, keepdim=True) * first, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1)
