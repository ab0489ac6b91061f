"""The judge of holding learns from grasps of the trained model, tested in simulation on training objects.

Each object is shown whole and as single views; a grasp is refined on what was shown and tested on the true
object, so that the judge also learns what a guessed surface costs.

Index legend: K grasps of an object, F features.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from maskdex_core.data.dataset import GraspDataset
from maskdex_core.errors import CloudError, DatasetError
from maskdex_core.grasp.model import GraspModel
from maskdex_core.grasp.sampler import GraspSampler
from maskdex_core.grasp.types import GraspBatch
from maskdex_core.hands.model import HandModel
from maskdex_core.metrics.calibration import auroc, calibration_error
from maskdex_core.metrics.observation import observe
from maskdex_core.metrics.subjects import drawn, left_out, loaded, split_subjects
from maskdex_core.objects.target_object import TargetObject
from maskdex_core.physics.hold_test import FC6_HARD, HoldTest
from maskdex_core.planning.draws import grasp_draws
from maskdex_core.planning.geometry import ObjectGeometry
from maskdex_core.planning.proposals import pose_of
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.features import hold_features
from maskdex_core.refine.optimizer import RefineConfig, refine
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.pregrasp import wide_open
from maskdex_core.refine.ranking import TESTS, HoldJudge, binary_loss
from maskdex_core.refine.squeeze import Closing, solve_closing

logger = logging.getLogger(__name__)

SHOWN = ("full", "view", "view")  # observations of each object
UNLIKE = 2  # draws of each that differ: the network's, and its fingers on palms laid where the text wants them
STEPS, RATE, DECAY = 1500, 3e-3, 1e-2  # of the fit
Physics = tuple[HoldTest, HoldTest]  # with the friction of FC6, and with half of it
HELD_OUT = 0.25  # share of the objects that judges the judge and ends its training


@dataclass(frozen=True)
class Outcomes:
    """Tested grasps of one object: features (K, F) and which of `TESTS` each passed (K, 2) bool."""

    name: str
    features: Tensor
    held: Tensor


def tested_grasps(
    model: GraspSampler, data: GraspDataset, objects: int, samples: int, seed: int = 0
) -> Iterator[Outcomes]:
    """Yield outcomes on procedural objects of the training split, `samples` grasps a draw.

    Raises:
        DatasetError: when the split has no procedural object.
    """
    part, hand = data.split("train"), HandModel.load("shadow")
    subjects = drawn(split_subjects(data, "train"), objects, np.random.default_rng([seed, 11]))
    for number, (subject, target) in enumerate(loaded(subjects, left_out)):
        rng = np.random.default_rng([seed, 11, number])  # of its own: objects are tested in any order, on any machine
        rows = [row for row, owner in enumerate(part.table["object"]) if owner == subject.name]
        physics = HoldTest(hand, target), HoldTest(hand, target, FC6_HARD)
        for kind in SHOWN:
            text, own = str(rng.choice(part.texts[int(rng.choice(rows))])), int(rng.integers(1 << 30))
            try:
                geometry = observe(target, kind, rng)
            except CloudError as error:
                logger.info("%s", error)
                continue
            touch = model.touch_map(geometry.points, text)
            draws = grasp_draws(model, hand, geometry, text, touch, samples, torch.Generator().manual_seed(own))
            for draw in draws[:UNLIKE]:
                yield _tested(hand, target, physics, geometry, draw())


def _tested(
    hand: HandModel, target: TargetObject, physics: Physics, geometry: ObjectGeometry, drawn: GraspBatch
) -> Outcomes:
    scene = HandOnObject(hand, geometry.sdf, geometry.table_height)
    made = refine(scene, pose_of(drawn), RefineConfig())
    closing = solve_closing(scene, made.pose)
    features = hold_features(scene, made.pose, closing, geometry.points)
    closing = replace(closing, pregrasp=wide_open(scene, made.pose, closing.pregrasp))
    held = [_holds(physics, made.pose, closing, row, geometry.center) for row in range(len(drawn))]
    return Outcomes(target.name, features, torch.tensor(held))


def _holds(physics: Physics, pose: HandPose, closing: Closing, row: int, center: np.ndarray) -> list[bool]:
    """Return whether a grasp passes, and passes at half the friction too: what fails the first is not asked again."""
    place = pose.translation[row].double().numpy() + center
    joints = (closing.pregrasp[row].numpy(), pose.joints[row].numpy(), closing.squeeze[row].numpy())
    passed = []
    for test in physics:
        held = all(passed) and test.run(pose.rotation[row].double().numpy(), place, *joints, quick=True).fc6
        passed.append(held)
    return passed


def fit_judge(outcomes: list[Outcomes], seed: int = 0) -> tuple[HoldJudge, dict[str, float]]:
    """Fit a judge; objects of a quarter of the names end the training and give the figures.

    Returns:
        The judge, and on the quarter it did not fit: share that held, AUROC and calibration error of each test.

    Raises:
        DatasetError: when there are fewer than four objects.
    """
    names = sorted({one.name for one in outcomes})
    if len(names) < 4:
        raise DatasetError(f"a judge needs tested grasps of at least 4 objects, there are {len(names)}")
    order = np.random.default_rng(seed).permutation(len(names))
    aside = {names[i] for i in order[: max(1, round(HELD_OUT * len(names)))]}
    fitted, held_out = ([o for o in outcomes if (o.name in aside) == side] for side in (False, True))
    torch.manual_seed(seed)
    judge = HoldJudge()
    features, held = _joined(fitted)
    judge.mean.copy_(features.mean(0))
    judge.scale.copy_(features.std(0).clamp_min(1e-3))
    best = _descend(judge, features, held, *_joined(held_out))
    judge.load_state_dict(best)
    features, held = _joined(held_out)
    with torch.no_grad():
        odds = judge.eval()(features)
    report = {
        "objects": float(len(names)),
        "grasps": float(sum(len(o.held) for o in outcomes)),
        "auroc_of_wrench_alone": auroc(-features[:, 0].numpy(), held[:, 0].numpy()),
    }
    for test, foretold, passed in zip(TESTS, odds.T.numpy(), held.T.numpy(), strict=True):
        report[f"{test} held"] = float(passed.mean())
        report[f"{test} auroc"] = auroc(foretold, passed)
        report[f"{test} calibration_error"] = calibration_error(1 / (1 + np.exp(-foretold)), passed)
    return judge, report


def train_judge(
    model: GraspModel, data: GraspDataset, out: Path, objects: int = 235, samples: int = 8, seed: int = 0
) -> dict[str, float]:
    """Test grasps, fit a judge, write OUT (safetensors, with its figures in the header) and return the figures."""
    outcomes = []
    for one in tested_grasps(model, data, objects, samples, seed):
        outcomes.append(one)
        logger.info("%s: %d of %d held", one.name, int(one.held[:, 0].sum()), len(one.held))
    judge, report = fit_judge(outcomes, seed)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file(judge.state_dict(), out, metadata={"figures": json.dumps(report), "model": model.fingerprint})
    return report


def _descend(judge: HoldJudge, features: Tensor, held: Tensor, other: Tensor, other_held: Tensor) -> dict[str, Tensor]:
    """Fit on one set and return the weights that were best on the other."""
    optimizer = torch.optim.AdamW(judge.parameters(), lr=RATE, weight_decay=DECAY)
    lowest, best = float("inf"), judge.state_dict()
    for step in range(STEPS):
        loss = binary_loss(judge, features, held)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 0:
            with torch.no_grad():
                now = float(binary_loss(judge, other, other_held))
            if now < lowest:
                lowest, best = now, {name: value.clone() for name, value in judge.state_dict().items()}
    return best


def _joined(outcomes: list[Outcomes]) -> tuple[Tensor, Tensor]:
    return torch.cat([one.features for one in outcomes]), torch.cat([one.held for one in outcomes])
