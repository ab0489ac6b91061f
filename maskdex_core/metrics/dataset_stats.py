"""What a dataset holds, in numbers that `maskdex data stats` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from maskdex_core.data.dataset import GraspDataset
from maskdex_core.hands.model import HandModel
from maskdex_core.metrics.diversity import duplicates, joint_entropy

PROCEDURAL = "procedural"


def dataset_stats(data: GraspDataset) -> dict[str, Any]:
    """Count a dataset.

    Returns:
        grasps; fc6, fc6_hard: grasps that passed them; objects; real_objects: those of a named source that is
        not procedural; texts: how many in all; tasks, splits, grasp_types, families, contact_parts: name → grasps;
        pen_mm_median, pen_mm_max, pen_mesh_mm_median, pen_mesh_mm_max, clearance_mm_median, q1_mean,
        posture_median (None where unknown); hmean: mean joint entropy, nats; duplicates: share of
        near-duplicates, 0..1.

    Raises:
        HandError, DatasetError: when the joints are not the hand's.
    """
    hand = HandModel.load(str(data.info.get("hand", "shadow")))
    joints = data.joints_as(hand.joint_names).double().numpy()
    sources = dict(zip(data.table["object"], data.table["source"], strict=True))
    same = duplicates(
        joints,
        data.palm_rotation.double().numpy(),
        data.palm_translation.double().numpy(),
        data.object_index.numpy(),
    )
    entropy = joint_entropy(joints, hand.lower.double().numpy(), hand.upper.double().numpy())
    return {
        "grasps": len(data),
        "fc6": _passed(data, "fc6"),
        "fc6_hard": _passed(data, "fc6_hard"),
        "objects": len(data.object_names),
        "real_objects": sum(source not in ("", PROCEDURAL) for source in sources.values()),
        "texts": sum(len(texts) for texts in data.texts),
        "tasks": _counts(task for tasks in data.table["tasks"] for task in tasks),
        "splits": _counts(data.table["split"]),
        "grasp_types": _counts(name for name in data.table["grasp_type"] if name),
        "families": _counts(name for name in data.table["family"] if name),
        "contact_parts": _counts(part for parts in data.table["contact_parts"] for part in set(parts)),
        "pen_mm_median": _over(data, "pen_mm", np.median),
        "pen_mm_max": _over(data, "pen_mm", np.max),
        "pen_mesh_mm_median": _over(data, "pen_mesh_mm", np.median),
        "pen_mesh_mm_max": _over(data, "pen_mesh_mm", np.max),
        "clearance_mm_median": _over(data, "clearance_mm", np.median),
        "q1_mean": _over(data, "q1", np.mean),
        "posture_median": _over(data, "posture", np.median),
        "hmean": round(float(entropy.mean()), 4),
        "duplicates": round(float(same.mean()), 5),
    }


def _passed(data: GraspDataset, column: str) -> int:
    return int(np.sum(np.array(data.table[column], dtype=np.float64) == 1.0))


def _over(data: GraspDataset, column: str, statistic: Callable[[np.ndarray], Any]) -> float | None:
    """Return a statistic of a column's known values, None without any."""
    values = np.array(data.table[column], dtype=np.float64)
    values = values[np.isfinite(values)]
    return round(float(statistic(values)), 4) if len(values) else None


def _counts(values: Any) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))
