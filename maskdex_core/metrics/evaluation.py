"""A model on many objects, and what the table says of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from maskdex_core.errors import CloudError
from maskdex_core.grasp.sampler import GraspSampler
from maskdex_core.hands.model import HandModel
from maskdex_core.metrics.calibration import auroc, calibration_error
from maskdex_core.metrics.diversity import joint_entropy
from maskdex_core.metrics.rates import Rate, rate
from maskdex_core.metrics.subjects import LeaveOut, Subject, drawn, left_out, loaded, trial_seed
from maskdex_core.metrics.success import ObjectTrial, try_object


def evaluate(
    model: GraspSampler, subjects: Sequence[Subject], observation: str, samples: int, limit: int | None,
    seed: int, texts: int = 1, leave_out: LeaveOut = left_out,
) -> Iterator[ObjectTrial]:  # fmt: skip
    """Yield trials of up to `limit` objects drawn at random (None: of all), `texts` requests each.

    Objects that cannot be read, or that no camera sees well enough, are left out.
    """
    hand, rng = HandModel.load("shadow"), np.random.default_rng(seed)
    for subject, target in loaded(drawn(subjects, limit, rng), leave_out):
        for request in subject.requests(rng)[:texts]:
            own = trial_seed(seed, subject.name, request.text)
            try:
                yield try_object(model, hand, target, request, observation, samples, own)
            except CloudError as error:
                leave_out(subject.name, error)


def summary(trials: Sequence[ObjectTrial]) -> dict[str, Rate | float]:
    """Return what the table shows: rates with their intervals, and numbers over all grasps.

    Raises:
        ValueError: when there is no trial.
    """
    by_object = _grouped(trials)

    def over(values: Callable[[ObjectTrial], np.ndarray | float]) -> Rate:
        return rate([np.concatenate([np.atleast_1d(values(t)) for t in own]) for own in by_object])

    chance = np.concatenate([t.chance for t in trials])
    held = np.concatenate([t.refined.fc6 for t in trials])
    depth = np.concatenate([t.refined.pen_mesh_mm for t in trials])
    hand = HandModel.load("shadow")
    entropy = joint_entropy(np.concatenate([t.joints for t in trials]), hand.lower.numpy(), hand.upper.numpy())
    table: dict[str, Rate | float] = {
        "raw": over(lambda t: t.raw.fc6),
        "raw_fc1": over(lambda t: t.raw.fc1),
        "raw_fc6_hard": over(lambda t: t.raw.fc6_hard),
        "raw_paper_like": over(lambda t: t.raw.paper_like),
        "raw_pen_mesh_mm": over(lambda t: t.raw.pen_mesh_mm),
        "refined": over(lambda t: t.refined.fc6),
        "refined_fc1": over(lambda t: t.refined.fc1),
        "top1": over(lambda t: t.top.fc6),
        "top1_by_holding": over(lambda t: t.firmest_fc6),
        "best_of_k": over(lambda t: bool(t.refined.fc6.any())),
        "baseline": over(lambda t: t.baseline_fc6),
        "baseline_top1": over(lambda t: t.baseline_top1),
        "baseline_timely_top1": over(lambda t: t.baseline_timely_top1),
        "top1_fc1": over(lambda t: t.top.fc1),
        "top1_fc6_hard": over(lambda t: t.top.fc6_hard),
        "top1_paper_like": over(lambda t: t.top.paper_like),
        "pen_mesh_mm": over(lambda t: t.refined.pen_mesh_mm),
        "pen_mesh_mm_median": float(np.median(depth)),
        "pen_mesh_mm_p95": float(np.quantile(depth, 0.95)),
        "pen_parts_mm": over(lambda t: t.refined.pen_mm),
        "top1_pen_mesh_mm": over(lambda t: t.top_scores.pen_mesh_mm),
        "self_mm": over(lambda t: t.refined.self_mm),
        "top1_self_mm": over(lambda t: t.top_scores.self_mm),
        "q1": over(lambda t: t.refined.q1),
        "top1_q1": over(lambda t: t.top_scores.q1),
        "contacts": over(lambda t: t.refined.contacts),
        "hmean": float(entropy.mean()),
        "hstd": float(entropy.std()),
        "auroc": auroc(chance, held),
        "calibration_error": calibration_error(chance, held),
        "drawn": float(np.mean([t.drawn for t in trials])),
        "seconds": float(np.median([t.seconds for t in trials])),
        "baseline_seconds": float(np.median([t.baseline_seconds for t in trials])),
    }
    if all(t.confidence.size for t in trials):
        confidence = np.concatenate([t.confidence for t in trials])
        table["confidence_auroc_raw"] = auroc(confidence, np.concatenate([t.raw.fc6 for t in trials]))
        table["confidence_auroc_refined"] = auroc(confidence, held)
    if any(t.agrees.size for t in trials):
        table["part_agreement"] = over(lambda t: t.agrees)
        table["top1_part_agreement"] = over(lambda t: t.top_agrees)
    return table


def as_json(table: dict[str, Rate | float]) -> dict[str, Any]:
    """Return a summary as JSON can carry it; what is not defined (AUROC where all grasps hold) becomes None."""
    plain = {name: dataclasses.asdict(value) if isinstance(value, Rate) else value for name, value in table.items()}
    return {name: None if value != value else value for name, value in plain.items()}


def _grouped(trials: Sequence[ObjectTrial]) -> list[list[ObjectTrial]]:
    names = list(dict.fromkeys(trial.name for trial in trials))
    return [[trial for trial in trials if trial.name == name] for name in names]
