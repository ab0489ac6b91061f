"""What a dataset holds, in numbers that `maskdex data stats` prints."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from maskdex_core.data.dataset import GraspDataset
from maskdex_core.hands.model import HandModel
from maskdex_core.metrics.diversity import duplicates, joint_entropy

PROCEDURAL = "procedural"


def dataset_stats(data: GraspDataset) -> dict[str, Any]:
    """Count a dataset.

    Returns:
        grasps; fc6: grasps that passed FC6; objects; real_objects: those of a named source that is not
        procedural; tasks: name → grasps; texts: how many in all; splits: name → grasps; pen_mm_median
        (None if unknown); hmean: mean joint entropy, nats; duplicates: share of near-duplicates, 0..1.

    Raises:
        HandError, DatasetError: when the joints are not the hand's.
    """
    hand = HandModel.load(str(data.info.get("hand", "shadow")))
    joints = data.joints_as(hand.joint_names).double().numpy()
    sources = dict(zip(data.table["object"], data.table["source"], strict=True))
    pen = np.array(data.table["pen_mm"], dtype=np.float64)
    pen = pen[np.isfinite(pen)]
    same = duplicates(
        joints,
        data.palm_rotation.double().numpy(),
        data.palm_translation.double().numpy(),
        data.object_index.numpy(),
    )
    entropy = joint_entropy(joints, hand.lower.double().numpy(), hand.upper.double().numpy())
    return {
        "grasps": len(data),
        "fc6": int(np.sum(np.array(data.table["fc6"], dtype=np.float64) == 1.0)),
        "objects": len(data.object_names),
        "real_objects": sum(source not in ("", PROCEDURAL) for source in sources.values()),
        "tasks": _counts(task for tasks in data.table["tasks"] for task in tasks),
        "texts": sum(len(texts) for texts in data.texts),
        "splits": _counts(data.table["split"]),
        "pen_mm_median": round(float(np.median(pen)), 4) if len(pen) else None,
        "hmean": round(float(entropy.mean()), 4),
        "duplicates": round(float(same.mean()), 5),
    }


def _counts(values: Any) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))
