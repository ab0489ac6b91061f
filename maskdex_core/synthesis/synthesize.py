"""Grasps for one object: start, refine, close, test in physics, keep what holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import KDTree

from maskdex_core.data.procedural.object_model import ObjectModel
from maskdex_core.hands.model import HandModel
from maskdex_core.physics.hold_test import HoldResult, HoldTest
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.optimizer import RefineConfig, refine
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.ranking import grasp_cost
from maskdex_core.refine.residuals import ErrorScales
from maskdex_core.refine.squeeze import Closing, flex_closing, solve_closing
from maskdex_core.synthesis.grasp_types import GRASP_TYPES, GraspType, active_links
from maskdex_core.synthesis.starts import antipodal_pairs, start_poses

# From an antipodal start the hand may travel far: only contact and clearance count.
FAR = RefineConfig(steps=20, scales=ErrorScales(joint=3.0, turn=2.0, shift=0.1))
CONTACT_REACH = 0.003  # m


@dataclass(frozen=True)
class SynthesisConfig:
    """Effort on one object.

    Attributes:
        candidates: refined candidates for each grasp type and target part.
        oversample: starts for each candidate.
        quota: valid grasps kept for each grasp type and target part.
        worst_residual: candidates whose squeeze leaves more wrench are not simulated.
        deepest: m; grasps whose links sit deeper in the object are dropped.
        flex: rad; squeeze of the second try.
    """

    candidates: int = 12
    oversample: int = 5
    quota: int = 8
    worst_residual: float = 0.2
    deepest: float = 0.002
    flex: float = 0.12


@dataclass(frozen=True)
class MadeGrasp:
    """One grasp that passed FC6; angles in rad in `joint_names` order, poses in the mesh's frame."""

    grasp_type: str
    joints: np.ndarray
    pregrasp: np.ndarray
    squeeze: np.ndarray
    palm_rotation: np.ndarray
    palm_translation: np.ndarray
    contact_links: tuple[str, ...]
    contact_parts: tuple[str, ...]
    pen_mm: float


def synthesize(
    hand: HandModel, target: ObjectModel, config: SynthesisConfig, seed: int
) -> Iterator[tuple[str, int, list[MadeGrasp]]]:
    """Yield (grasp type/part, candidates simulated, valid grasps) for each type and target part."""
    rng = np.random.default_rng([seed, 17])
    generator = torch.Generator().manual_seed(seed)
    scene = HandOnObject(hand, target.sdf, table_height=0.0)
    physics = HoldTest(hand, target)
    for grasp_type in GRASP_TYPES:
        for part in range(len(target.part_names)):
            pairs = antipodal_pairs(target, grasp_type.widest, part, rng)
            label = f"{grasp_type.name}/{target.part_names[part]}"
            if len(pairs) < 8:
                continue
            pose, closing = _candidates(hand, scene, grasp_type, pairs, config, generator)
            yield label, len(pose), _valid(hand, target, scene, physics, grasp_type, pose, closing, config)


def _candidates(
    hand: HandModel, scene: HandOnObject, grasp_type: GraspType, pairs: np.ndarray, config: SynthesisConfig,
    generator: torch.Generator,
) -> tuple[HandPose, Closing]:  # fmt: skip
    active = active_links(hand, grasp_type)
    starts = config.candidates * config.oversample
    start = start_poses(hand, scene, grasp_type, pairs, starts, generator)
    made = refine(scene, start, FAR, active.expand(starts, -1))
    closing = solve_closing(scene, made.pose)
    good = (closing.residual < config.worst_residual) & (scene.penetration(made.pose) < config.deepest)
    order = grasp_cost(made.energy, closing.residual).argsort()
    keep = order[good[order]][: config.candidates]
    return made.pose[keep], Closing(closing.pregrasp[keep], closing.squeeze[keep], closing.residual[keep])


def _valid(
    hand: HandModel, target: ObjectModel, scene: HandOnObject, physics: HoldTest, grasp_type: GraspType,
    pose: HandPose, closing: Closing, config: SynthesisConfig,
) -> list[MadeGrasp]:  # fmt: skip
    made: list[MadeGrasp] = []
    if len(pose) == 0:
        return made
    flexed = flex_closing(scene, pose, config.flex).numpy()
    labels = _contact_labels(hand, target, scene, pose)
    depth = scene.penetration(pose).numpy()
    for i in range(len(pose)):
        if len(made) >= config.quota:
            break
        pregrasp, joints = closing.pregrasp[i].numpy(), pose.joints[i].numpy()
        rotation, translation = pose.rotation[i].double().numpy(), pose.translation[i].double().numpy()
        for squeeze in (closing.squeeze[i].numpy(), flexed[i]):
            result: HoldResult = physics.run(rotation, translation, pregrasp, joints, squeeze, True)
            if result.fc6:
                links, parts = labels[i]
                made.append(MadeGrasp(grasp_type.name, joints, pregrasp, squeeze, rotation, translation,
                                      links, parts, float(depth[i]) * 1e3))  # fmt: skip
                break
    return made


def _contact_labels(
    hand: HandModel, target: ObjectModel, scene: HandOnObject, pose: HandPose
) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return for each grasp the links that touch and the object part that each touches."""
    points, _, parts = target.sample_surface(4000)
    tree = KDTree(points)
    with torch.no_grad():
        contacts = scene.contacts(pose)
    labels = []
    for gap, point in zip(contacts.gap.numpy(), contacts.point.numpy(), strict=True):
        touching = np.flatnonzero(gap < CONTACT_REACH)
        nearest = np.atleast_1d(tree.query(point[touching])[1])
        links = tuple(hand.spec.contact_links[index] for index in touching)
        labels.append((links, tuple(target.part_names[parts[index]] for index in nearest)))
    return labels
