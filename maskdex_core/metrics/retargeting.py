"""How well grasps come over to another hand, on a fixed set of 100 Shadow grasps.

The set: one grasp each of 100 procedural objects of 20 families, drawn once from the shipped dataset with seed
0, families and grasp types in turn (22 tripod, 21 precision, 21 quad, 20 pinch, 16 wrap).

Fingertip error: distance between a Shadow fingertip and the target's tip of the same name (both points from the
hands' YAML), object frame, scale 1, the palm free within 5 cm and 60° of where the hand's landmarks lie best on the
Shadow's; all fingers that both hands have count alike. Times are processor time per grasp, ours in
batches of 64, so that what else runs on the machine does not count.

Index legend: B grasps, F fingers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from maskdex_core.hands.model import HandModel
from maskdex_core.objects.procedural import make_object
from maskdex_core.physics.hold_test import HoldTest
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.pose import HandPose
from maskdex_core.retarget.fingertips import match_fingertips
from maskdex_core.retarget.retarget import Retargeted, retarget, touching_fingers

GRASPS = Path(__file__).resolve().parent.parent / "assets" / "retarget_grasps.npz"
BATCH = 64
REPEATS = 5


@dataclass(frozen=True)
class BenchmarkGrasps:
    """Shadow grasps (`pose`, in the Shadow model's joint order) and the objects they hold, by family and seed."""

    pose: HandPose
    families: tuple[str, ...]
    seeds: tuple[int, ...]
    grasp_types: tuple[str, ...]


@dataclass(frozen=True)
class TipRow:
    """Fingertip errors of one method on one hand.

    Attributes:
        hand, method: names. mean_mm, p95_mm: over grasps and fingers. ms: of processor time per grasp.
        grasps, fingers: how many.
    """

    hand: str
    method: str
    mean_mm: float
    p95_mm: float
    ms: float
    grasps: int
    fingers: int

    @staticmethod
    def of(hand: str, method: str, error: np.ndarray, ms: float) -> TipRow:
        """Summarise errors (B, F) in m."""
        mean, p95 = 1e3 * error.mean(), 1e3 * np.quantile(error, 0.95)
        return TipRow(hand, method, round(float(mean), 3), round(float(p95), 3), round(ms, 2), *error.shape)


@dataclass(frozen=True)
class HoldRow:
    """What a hand holds after retargeting.

    Attributes:
        hand: name. fc6: share of grasps that pass FC6 (`physics/hold_test.py`); the source grasps all do.
        contact_mm: median distance of contacts to the source's. unbalanced: share whose squeeze leaves more than 0.05.
        by_type: FC6 by grasp type. grasps, objects: how many.
    """

    hand: str
    fc6: float
    contact_mm: float
    unbalanced: float
    by_type: dict[str, float]
    grasps: int
    objects: int


def benchmark_grasps() -> BenchmarkGrasps:
    """Return the fixed set."""
    with np.load(GRASPS) as data:
        names = data["joint_names"].tolist()
        order = [names.index(name) for name in HandModel.load("shadow").joint_names]
        arrays = (data["joints"][:, order], data["palm_rotation"], data["palm_translation"])
        return BenchmarkGrasps(
            HandPose(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)),
            tuple(data["family"].tolist()), tuple(data["seed"].tolist()), tuple(data["grasp_type"].tolist()),
        )  # fmt: skip


def fingertip_row(target: HandModel, grasps: BenchmarkGrasps) -> TipRow:
    """Measure pose retargeting: errors on all grasps, the time in batches of 64 (the quickest of 5)."""
    shadow = HandModel.load("shadow")
    error = match_fingertips(shadow, grasps.pose, target).error
    times = []
    for _ in range(REPEATS):
        begun = time.process_time()
        match_fingertips(shadow, grasps.pose[:BATCH], target)
        times.append(1e3 * (time.process_time() - begun) / BATCH)
    return TipRow.of(target.name, "maskdex", error.double().numpy(), min(times))


def hold_row(
    target: HandModel, grasps: BenchmarkGrasps, count: int, progress: Callable[[int], None] = lambda done: None
) -> HoldRow:
    """Retarget the first `count` grasps with their contacts and hold each object against six pushes."""
    shadow, held, unbalanced = HandModel.load("shadow"), [], 0
    contact: list[Tensor] = []
    for row in range(count):
        thing = make_object(grasps.families[row], grasps.seeds[row])
        grasp = grasps.pose[row : row + 1]
        touch = touching_fingers(HandOnObject(shadow, thing.sdf, 0.0), grasp)
        made = retarget(shadow, grasp, HandOnObject(target, thing.sdf, 0.0), touch)
        held.append(_holds(HoldTest(target, thing), made))
        contact.append(made.contact_error[~made.contact_error.isnan()])
        unbalanced += int(made.residual[0] > 0.05)
        progress(row + 1)
    median = 1e3 * float(torch.cat(contact).median())
    kinds = grasps.grasp_types[:count]
    by_type = {kind: round(float(np.mean([h for h, k in zip(held, kinds, strict=True) if k == kind])), 3)
               for kind in sorted(set(kinds))}  # fmt: skip
    return HoldRow(
        target.name, round(float(np.mean(held)), 3), round(median, 2), round(unbalanced / count, 3), by_type, count,
        len(set(zip(grasps.families[:count], grasps.seeds[:count], strict=True))),
    )  # fmt: skip


def table(tips: Sequence[TipRow], holds: Sequence[HoldRow]) -> str:
    """Return the figures as lines of text."""
    lines = [f"{'hand':<16}{'method':<22}{'tips mean mm':>13}{'p95 mm':>9}{'CPU ms each':>12}{'n':>6}"]
    for row in tips:
        figures = f"{row.mean_mm:>13.3f}{row.p95_mm:>9.3f}{row.ms:>12.2f}{row.grasps:>6}"
        lines.append(f"{row.hand:<16}{row.method:<22}{figures}")
    if holds:
        lines.append(f"{'hand':<16}{'FC6':>6}{'contacts off mm':>17}{'unbalanced':>12}{'n':>6}  by type")
    for row in holds:
        kinds = ", ".join(f"{kind} {share:.2f}" for kind, share in row.by_type.items())
        figures = f"{row.fc6:>6.2f}{row.contact_mm:>17.1f}{row.unbalanced:>12.2f}{row.grasps:>6}"
        lines.append(f"{row.hand:<16}{figures}  {kinds}")
    return "\n".join(lines)


def _holds(test: HoldTest, made: Retargeted) -> bool:
    pose = made.pose
    arrays = (pose.rotation, pose.translation, made.pregrasp, pose.joints, made.squeeze)
    return test.run(*(array[0].double().numpy() for array in arrays), quick=True).fc6
