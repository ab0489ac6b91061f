"""The dataset that travels with the project is what its card says: physics agrees with the stored outcome."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from maskdex_core.data.dataset import GraspDataset
from maskdex_core.data.procedural import make_object
from maskdex_core.hands.model import HandModel
from maskdex_core.physics.hold_test import HoldTest

SHIPPED = Path(__file__).resolve().parent.parent / "data" / "shadow"
DRAWN = 16


@pytest.fixture(scope="module")
def data() -> GraspDataset:
    torch.set_num_threads(1)
    return GraspDataset.load(SHIPPED)


def test_a_random_draw_holds_again(data: GraspDataset) -> None:
    hand = HandModel.load("shadow")
    assert data.joint_names == hand.joint_names
    agreed = 0
    for row in np.random.default_rng(7).choice(len(data), DRAWN, replace=False):
        facts = data.objects[data.table["object"][row]].facts
        test = HoldTest(hand, make_object(facts["family"], int(facts["seed"])))
        joints, pregrasp, squeeze = (
            np.asarray(data.table[name][row], float) for name in ("joints", "pregrasp", "squeeze")
        )
        rotation, translation = data.palm_rotation[row].double().numpy(), data.palm_translation[row].double().numpy()
        held = test.run(rotation, translation, pregrasp, joints, squeeze, stop_at_first_failure=True).fc6
        agreed += held == bool(data.table["fc6"][row])
    assert agreed >= DRAWN - 1


def test_every_grasp_has_a_task_and_four_texts(data: GraspDataset) -> None:
    assert all(data.table["tasks"])
    assert min(len(set(texts)) for texts in data.texts) >= 4


def test_splits_share_no_object(data: GraspDataset) -> None:
    by_split: dict[str, set[str]] = {}
    for split, name in zip(data.table["split"], data.table["object"], strict=True):
        by_split.setdefault(split, set()).add(name)
    assert set(by_split) == {"train", "unseen_instance", "unseen_category"}
    assert not by_split["train"] & (by_split["unseen_instance"] | by_split["unseen_category"])
