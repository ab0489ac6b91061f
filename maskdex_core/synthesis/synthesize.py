"""Grasps for one object: start, refine, close, pass the gates, test in physics, keep what holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from maskdex_core.antipodal.grasp_types import GRASP_TYPES, GraspType, active_links
from maskdex_core.antipodal.starts import antipodal_pairs, start_poses
from maskdex_core.hands.model import HandModel
from maskdex_core.metrics.contact_labels import ContactLabels, TouchedParts
from maskdex_core.objects.target_object import TargetObject
from maskdex_core.physics.hold_test import FC6_HARD, HoldResult, HoldTest
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.optimizer import RefineConfig, refine
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.pregrasp import open_clear
from maskdex_core.refine.ranking import grasp_cost
from maskdex_core.refine.residuals import ErrorScales
from maskdex_core.refine.squeeze import Closing, flex_closing, solve_closing
from maskdex_core.synthesis.gates import Gates
from maskdex_core.synthesis.made_grasp import MadeGrasp

# From an antipodal start the hand may travel far: only contact and clearance count, the table's above all.
FAR = RefineConfig(steps=24, scales=ErrorScales(joint=3.0, turn=2.0, shift=0.1, table=0.0005))
FAR_FIRST = replace(FAR, steps=8)
STARTS, FIRST_ROUND, SECOND_ROUND = 15, 5, 2  # starts for each candidate that is wanted
SOLVED, FLEXED = "solved", "flexed"


@dataclass(frozen=True)
class SynthesisConfig:
    """Effort on one object.

    Attributes:
        candidates: simulated for each grasp type, shared among the object's parts.
        fewest: simulated for each grasp type and target part, however many parts there are.
        quota: share of the candidates of a type and part that is kept at most.
        worst_residual: candidates whose squeeze leaves more wrench are not simulated: one in five of them holds.
        flex: rad; squeeze of a wrap's second try.
    """

    candidates: int = 30
    fewest: int = 12
    quota: float = 0.67
    worst_residual: float = 0.05
    flex: float = 0.12


def synthesize(
    hand: HandModel, target: TargetObject, config: SynthesisConfig, seed: int
) -> Iterator[tuple[str, int, list[MadeGrasp]]]:
    """Yield (grasp type/part, candidates simulated, valid grasps) for each type and target part."""
    rng = np.random.default_rng([seed, 17])
    generator = torch.Generator().manual_seed(seed)
    scene = HandOnObject(hand, target.sdf, table_height=0.0)
    gates, judge = Gates(scene, target), _Judge(hand, target, scene, config)
    count = max(config.fewest, config.candidates // len(target.part_names))
    for grasp_type in GRASP_TYPES:
        for part, name in enumerate(target.part_names):
            pairs = antipodal_pairs(target, grasp_type.widest, part, rng)
            if len(pairs) < 8:
                continue
            pose, closing = _candidates(scene, gates, grasp_type, pairs, count, config.worst_residual, generator)
            yield f"{grasp_type.name}/{name}", len(pose), judge.valid(grasp_type, pose, closing)


def _candidates(
    scene: HandOnObject, gates: Gates, grasp_type: GraspType, pairs: np.ndarray, count: int, worst_residual: float,
    generator: torch.Generator,
) -> tuple[HandPose, Closing]:  # fmt: skip
    """Return the best `count` or fewer candidates that pass every gate, best first."""
    pose, energy = _refined_starts(scene, grasp_type, pairs, count, generator)
    closing = solve_closing(scene, pose)
    good = (closing.residual < worst_residual) & gates.closed_fits(pose)
    order = grasp_cost(energy, closing.residual).argsort()
    keep = order[good[order]]
    pose, closing = pose[keep], closing.rows(keep)
    if len(pose) == 0:
        return pose, closing
    closing = replace(closing, pregrasp=open_clear(scene, pose, closing.pregrasp))
    fits = gates.opens(pose, closing.pregrasp) & gates.natural(pose) & gates.solid(pose)
    keep = torch.nonzero(fits).flatten()[:count]
    return pose[keep], closing.rows(keep)


def _refined_starts(
    scene: HandOnObject, grasp_type: GraspType, pairs: np.ndarray, count: int, generator: torch.Generator
) -> tuple[HandPose, Tensor]:
    """Return 2·count refined configurations and their energies: the roomiest starts, then the best after a few steps.

    Two of three starts have the object inside the hand and never come free: sorting them out before and
    early in the refinement doubles the candidates that fit at the same cost.
    """
    start = start_poses(scene.hand, scene, grasp_type, pairs, STARTS * count, generator)
    start = start[scene.crowding(start).argsort()[: FIRST_ROUND * count]]
    active = active_links(scene.hand, grasp_type)
    first = refine(scene, start, FAR_FIRST, active.expand(len(start), -1))
    best = first.energy.argsort()[: SECOND_ROUND * count]
    second = refine(scene, first.pose[best], FAR, active.expand(len(best), -1))
    return second.pose, second.energy


class _Judge:
    """Physics and contact labels on one object."""

    def __init__(self, hand: HandModel, target: TargetObject, scene: HandOnObject, config: SynthesisConfig) -> None:
        self._scene, self._config = scene, config
        self._labels = ContactLabels(scene, target)
        self._physics, self._hard = HoldTest(hand, target), HoldTest(hand, target, FC6_HARD)

    def valid(self, grasp_type: GraspType, pose: HandPose, closing: Closing) -> list[MadeGrasp]:
        """Return those that hold, up to the quota."""
        made: list[MadeGrasp] = []
        if len(pose) == 0:
            return made
        quota = int(np.ceil(self._config.quota * len(pose)))
        squeezes = [(SOLVED, closing.squeeze.numpy())]
        if grasp_type.wraps:
            squeezes.append((FLEXED, flex_closing(self._scene, pose, self._config.flex).numpy()))
        for i, touched in enumerate(self._labels(pose)):
            if len(made) >= quota:
                break
            if touched.real:
                grasp = self._first_that_holds(grasp_type.name, pose[[i]], closing.pregrasp[i].numpy(), touched,
                                               [(name, squeeze[i]) for name, squeeze in squeezes])  # fmt: skip
                made += [grasp] if grasp else []
        return made

    def _first_that_holds(
        self, grasp_type: str, pose: HandPose, pregrasp: np.ndarray, touched: TouchedParts,
        squeezes: list[tuple[str, np.ndarray]],
    ) -> MadeGrasp | None:  # fmt: skip
        joints = pose.joints[0].numpy()
        palm = pose.rotation[0].double().numpy(), pose.translation[0].double().numpy()
        for name, squeeze in squeezes:
            result: HoldResult = self._physics.run(*palm, pregrasp, joints, squeeze, quick=True)
            if result.fc6:
                hard = self._hard.run(*palm, pregrasp, joints, squeeze, quick=True).fc6
                return MadeGrasp(grasp_type, joints, pregrasp, squeeze, *palm, touched.links, touched.parts, name,
                                 result.margin, hard)  # fmt: skip
        return None
