"""The approach: of the ways a hand can come, the one that hits least."""

import pytest
import torch
from analytic_fields import box

from maskdex_core.hands import HandModel
from maskdex_core.refine.approach import approach_direction
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.pose import HandPose

HAND = HandModel.load("shadow")


def _hand(rotation, translation):
    return HandPose(torch.zeros(1, 22), torch.tensor(rotation, dtype=torch.float32)[None],
                    torch.tensor(translation, dtype=torch.float32)[None])  # fmt: skip


def test_a_free_way_costs_nothing_and_a_unit_vector_comes_back():
    scene = HandOnObject(HAND, box((0, 0, 0.5), (0.02, 0.02, 0.02)))
    direction, cost = approach_direction(scene, _hand([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, -0.5]), 0.08)
    assert cost.item() == 0 and direction.norm().item() == pytest.approx(1, abs=1e-5)


def test_an_upright_hand_does_not_come_through_the_table():
    hand = _hand([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0])  # fingers up
    lowest = HAND.surface_points(hand.joints)[0, :, 2].min().item()
    far = box((0.5, 0, 0), (0.02, 0.02, 0.02))
    free, _ = approach_direction(HandOnObject(HAND, far), hand, 0.08)
    assert free[0, 2] == pytest.approx(1)  # along the fingers, when nothing is in the way
    scene = HandOnObject(HAND, far, lowest - 0.005)
    direction, cost = approach_direction(scene, hand, 0.08)
    assert direction[0, 2] <= 1e-6 and cost.item() == 0


def test_a_block_under_the_wrist_turns_the_approach():
    scene = HandOnObject(HAND, box((0.0, 0.0, -0.07), (0.05, 0.02, 0.04)))
    hand = _hand([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0])
    direction, cost = approach_direction(scene, hand, 0.08)
    back = HandPose(hand.joints, hand.rotation, hand.translation - 0.08 * direction)
    assert direction[0, 2] <= 1e-6 and cost.item() == 0 and scene.crowding(back).item() == 0


def test_where_every_way_is_blocked_the_cost_says_so():
    hand = _hand([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0])
    scene = HandOnObject(HAND, box((0.0, 0.0, 0.1), (0.12, 0.12, 0.12)))
    _, cost = approach_direction(scene, hand, 0.08)
    assert cost.item() > 1
