"""FC6 of a model's grasps on objects it never saw: raw, refined, and top-ranked, reported apart.

Protocol: `maskdex_core/physics/hold_test.py`, full clouds, K samples an object and text. Raw grasps
are closed by the same solved squeeze as refined ones. Top-1 is the best of K by ranking cost. Beside
them stands what K antipodal starts give without a network, with the same refinement and ranking.
Intervals are 95 % bootstrap intervals over objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from maskdex_core.data.dataset import GraspDataset
from maskdex_core.errors import DatasetError
from maskdex_core.grasp.model import GraspModel
from maskdex_core.grasp.types import GraspBatch
from maskdex_core.hands.model import HandModel
from maskdex_core.objects.procedural import ObjectModel, make_object
from maskdex_core.physics.hold_test import HoldTest
from maskdex_core.planning.geometry import ObjectGeometry
from maskdex_core.planning.object_grasps import concatenate
from maskdex_core.planning.proposals import pose_of, refine_grasps
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.optimizer import RefineConfig, refine
from maskdex_core.refine.ranking import grasp_cost
from maskdex_core.refine.squeeze import solve_closing
from maskdex_core.synthesis.grasp_types import GRASP_TYPES, active_links
from maskdex_core.synthesis.starts import antipodal_pairs, start_poses
from maskdex_core.synthesis.synthesize import FAR


@dataclass(frozen=True)
class ObjectSuccess:
    """FC6 on one object with one text: each sample raw and refined (K,), antipodal starts (K,), the best."""

    name: str
    text: str
    raw: np.ndarray
    refined: np.ndarray
    top1: bool
    antipodal: np.ndarray
    antipodal_top1: bool


@dataclass(frozen=True)
class Rate:
    """A success rate with its interval clustered by object."""

    mean: float
    low: float
    high: float
    grasps: int
    objects: int

    def __str__(self) -> str:
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}] (n {self.grasps}, objects {self.objects})"


def evaluate_success(
    model: GraspModel, data: GraspDataset, split: str, samples: int = 8, limit: int = 20, seed: int = 0,
    config: RefineConfig | None = None,
) -> Iterator[ObjectSuccess]:  # fmt: skip
    """Yield outcomes for up to `limit` procedural objects of a split, one text each.

    Raises:
        DatasetError: when the split has no grasps, or none on a procedural object.
    """
    part = data.split(split)
    hand, rng = HandModel.load("shadow"), np.random.default_rng(seed)
    names = [name for name in part.object_names if "seed" in part.objects[name].facts]
    if not names:
        raise DatasetError(f"split {split!r} has no procedural object: others cannot be built again for a test")
    for name in [names[i] for i in rng.permutation(len(names))[:limit]]:
        facts = part.objects[name].facts
        target = make_object(facts["family"], int(facts["seed"]))
        rows = [row for row, owner in enumerate(part.table["object"]) if owner == name]
        texts = part.texts[int(rng.choice(rows))]
        yield success_on(model, hand, target, str(rng.choice(texts)), samples, seed, config or RefineConfig())


def success_on(
    model: GraspModel,
    hand: HandModel,
    target: ObjectModel,
    text: str,
    samples: int,
    seed: int,
    config: RefineConfig,
) -> ObjectSuccess:
    """Return the outcomes of `samples` grasps on one object."""
    points, _, _ = target.sample_surface(2048)
    center = points.mean(0)
    geometry = ObjectGeometry(
        center,
        torch.tensor(points - center, dtype=torch.float32),
        target.sdf.moved(center),
        -float(center[2]),
    )
    scene = HandOnObject(hand, geometry.sdf, geometry.table_height)
    raw = model.sample(geometry.points, text, samples, generator=torch.Generator().manual_seed(seed))
    closing = solve_closing(scene, pose_of(raw))
    raw = raw.replace(pregrasp=closing.pregrasp, squeeze=closing.squeeze)
    refined = refine_grasps(hand, raw, geometry, config)
    physics = HoldTest(hand, target)
    raw_ok, refined_ok = (fc6_of(physics, grasps, center) for grasps in (raw, refined))
    starts = antipodal_grasps(hand, target, samples, seed)
    starts_ok = fc6_of(physics, starts, np.zeros(3))
    best, best_start = (int(_score(grasps).argmax()) for grasps in (refined, starts))
    return ObjectSuccess(
        target.name, text, raw_ok, refined_ok, bool(refined_ok[best]), starts_ok, bool(starts_ok[best_start])
    )


def antipodal_grasps(hand: HandModel, target: ObjectModel, count: int, seed: int) -> GraspBatch:
    """Return grasps (mesh frame) from antipodal starts of all grasp types, refined, closed and scored."""
    scene = HandOnObject(hand, target.sdf, 0.0)
    rng, generator = np.random.default_rng([seed, 5]), torch.Generator().manual_seed(seed)
    parts: list[GraspBatch] = []
    for index in range(count):
        grasp_type = GRASP_TYPES[index % len(GRASP_TYPES)]
        pairs = antipodal_pairs(target, grasp_type.widest, None, rng)
        if len(pairs) == 0:
            grasp_type = GRASP_TYPES[-1]
            pairs = antipodal_pairs(target, 0.2, None, rng)
        start = start_poses(hand, scene, grasp_type, pairs, 1, generator)
        made = refine(scene, start, FAR, active_links(hand, grasp_type)[None])
        closing = solve_closing(scene, made.pose)
        score = -grasp_cost(made.energy, closing.residual)
        parts.append(
            GraspBatch(hand.joint_names, made.pose.joints, made.pose.rotation, made.pose.translation, score=score,
                       pregrasp=closing.pregrasp, squeeze=closing.squeeze)
        )  # fmt: skip
    return concatenate(parts)


def summary(outcomes: Sequence[ObjectSuccess]) -> dict[str, Rate]:
    """Return the rates that a table shows."""
    return {
        "raw": rate([o.raw for o in outcomes]),
        "refined": rate([o.refined for o in outcomes]),
        "top1": rate([np.array([o.top1]) for o in outcomes]),
        "best_of_k": rate([np.array([o.refined.any()]) for o in outcomes]),
        "antipodal": rate([o.antipodal for o in outcomes]),
        "antipodal_top1": rate([np.array([o.antipodal_top1]) for o in outcomes]),
    }


def _score(grasps: GraspBatch) -> torch.Tensor:
    return grasps.score if grasps.score is not None else torch.zeros(len(grasps))


def fc6_of(physics: HoldTest, grasps: GraspBatch, center: np.ndarray) -> np.ndarray:
    """Return FC6 (K,) bool of grasps whose poses are relative to `center` (3,) of the mesh's frame."""
    if grasps.pregrasp is None or grasps.squeeze is None:
        raise ValueError("grasps have no pre-grasp and squeeze")
    outcomes = [
        physics.run(
            grasps.palm_rotation[i].double().numpy(), grasps.palm_translation[i].double().numpy() + center,
            grasps.pregrasp[i].numpy(), grasps.joints[i].numpy(), grasps.squeeze[i].numpy(),
        ).fc6
        for i in range(len(grasps))
    ]  # fmt: skip
    return np.array(outcomes)


def rate(outcomes: Sequence[np.ndarray], seed: int = 0, draws: int = 2000) -> Rate:
    """Return the mean over all grasps, and its bootstrap interval over objects."""
    rng = np.random.default_rng(seed)
    sums = np.array([outcome.sum() for outcome in outcomes], float)
    counts = np.array([outcome.size for outcome in outcomes], float)
    picks = rng.integers(len(outcomes), size=(draws, len(outcomes)))
    means = sums[picks].sum(1) / counts[picks].sum(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Rate(float(sums.sum() / counts.sum()), float(low), float(high), int(counts.sum()), len(outcomes))
