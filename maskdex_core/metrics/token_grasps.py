"""What the tokens' error costs: grasps that hold, held again as stored, refined, decoded, and decoded and refined.

Every other measure of a model mixes the choice of a grasp with how well tokens can say it. Here the choice is the
dataset's. FC6 is the quick test of `maskdex_core/physics/hold_test.py`; decoded grasps are closed by the solved
squeeze.

Index legend: G grasps of one object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from maskdex_core.data.dataset import GraspDataset
from maskdex_core.errors import CloudError
from maskdex_core.grasp.decoder import PalmPose
from maskdex_core.grasp.tokenizer import GraspTokenizer
from maskdex_core.grasp.types import GraspBatch
from maskdex_core.hands.model import HandModel
from maskdex_core.metrics.grasp_test import quick_tests
from maskdex_core.metrics.observation import observe
from maskdex_core.metrics.rates import Rate, rate
from maskdex_core.metrics.reconstruction import tip_positions
from maskdex_core.metrics.subjects import LeaveOut, Subject, drawn, left_out, loaded, trial_seed
from maskdex_core.objects.target_object import TargetObject
from maskdex_core.physics.hold_test import HoldTest
from maskdex_core.planning.proposals import refine_grasps, with_open_hand
from maskdex_core.refine.optimizer import RefineConfig

GROUPS = 4  # of equal size, by tip error


@dataclass(frozen=True)
class TokenTrial:
    """Grasps of one object; all (G,).

    Attributes:
        tip_mm: mean shift of the fingertips by encoding and decoding.
        stored, stored_refined, decoded, decoded_refined: whether they hold (FC6).
    """

    name: str
    tip_mm: np.ndarray
    stored: np.ndarray
    stored_refined: np.ndarray
    decoded: np.ndarray
    decoded_refined: np.ndarray


def token_trials(
    tokenizer: GraspTokenizer, data: GraspDataset, subjects: Sequence[Subject], each: int, limit: int | None, seed: int,
    observation: str = "full", leave_out: LeaveOut = left_out,
) -> Iterator[TokenTrial]:  # fmt: skip
    """Yield trials of up to `limit` objects drawn at random (None: of all), up to `each` grasps of the dataset a one.

    Args:
        subjects: their names are the dataset's. observation: what refinement is shown; see `observe`.

    Objects that cannot be read, or that no camera sees well enough, are left out.
    """
    hand, rng = HandModel.load("shadow"), np.random.default_rng(seed)
    for subject, target in loaded(drawn(subjects, limit, rng), leave_out):
        own = [row for row, name in enumerate(data.table["object"]) if name == subject.name]
        some = data.subset(sorted(rng.permutation(own)[:each].tolist()))
        try:
            yield try_tokens(tokenizer, hand, some, target, observation, trial_seed(seed, subject.name))
        except CloudError as error:
            leave_out(subject.name, error)


def try_tokens(
    tokenizer: GraspTokenizer, hand: HandModel, data: GraspDataset, target: TargetObject, observation: str, seed: int
) -> TokenTrial:
    """Write the grasps of a dataset on one object as tokens, read them again, refine both and test all.

    Raises:
        CloudError: when no camera sees enough of the object.
    """
    geometry = observe(target, observation, np.random.default_rng([seed, 3]))
    center = torch.tensor(geometry.center, dtype=torch.float32)
    joints, pregrasp, squeeze = (data.joints_as(hand.joint_names, name) for name in ("joints", "pregrasp", "squeeze"))
    palm = PalmPose(data.palm_rotation, data.palm_translation - center)
    stored = GraspBatch(hand.joint_names, joints, *palm, pregrasp=pregrasp, squeeze=squeeze)
    with torch.no_grad():
        read = tokenizer.decode(tokenizer.tokenize(hand, joints, palm))
    shift = tip_positions(hand, read.joints, read.palm) - tip_positions(hand, joints, palm)
    decoded = GraspBatch(hand.joint_names, read.joints, *read.palm)
    physics = HoldTest(hand, target)

    def held(grasps: GraspBatch) -> np.ndarray:
        return quick_tests(physics, grasps, geometry.center)[0]

    def refined(grasps: GraspBatch) -> np.ndarray:
        return held(with_open_hand(hand, refine_grasps(hand, grasps, geometry, RefineConfig()), geometry))

    return TokenTrial(
        target.name, 1e3 * shift.norm(dim=-1).mean(-1).numpy(), held(stored), refined(stored),
        held(with_open_hand(hand, decoded, geometry)), refined(decoded),
    )  # fmt: skip


def token_summary(trials: Sequence[TokenTrial]) -> dict[str, Rate]:
    """Return tip error and FC6, each with its interval over objects.

    Raises:
        ValueError: when there is no trial.
    """

    def over(values: Callable[[TokenTrial], np.ndarray]) -> Rate:
        return rate([values(trial) for trial in trials])

    return {
        "tips_mm": over(lambda t: t.tip_mm),
        "stored": over(lambda t: t.stored),
        "stored_refined": over(lambda t: t.stored_refined),
        "stays_valid": over(lambda t: t.stored_refined[t.stored]),
        "decoded": over(lambda t: t.decoded),
        "decoded_refined": over(lambda t: t.decoded_refined),
    }


def by_tip_error(trials: Sequence[TokenTrial], groups: int = GROUPS) -> list[dict[str, Any]]:
    """Return tip error (mm, least and most) and FC6 of as many groups of equal size, the smallest error first."""
    error, raw, refined = (
        np.concatenate([getattr(trial, name) for trial in trials]) for name in ("tip_mm", "decoded", "decoded_refined")
    )
    return [
        {"tips_mm": [round(float(error[rows].min()), 2), round(float(error[rows].max()), 2)], "grasps": len(rows),
         "decoded": round(float(raw[rows].mean()), 3), "decoded_refined": round(float(refined[rows].mean()), 3)}
        for rows in np.array_split(error.argsort(), min(groups, len(error)))
    ]  # fmt: skip
