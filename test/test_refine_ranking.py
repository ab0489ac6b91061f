"""How grasps are ranked: where they touch against where the text wants the hand, beside the chance that they hold."""

from __future__ import annotations

import math

import pytest
import torch
from held_grasps import held_grasps

from maskdex_core.hands.model import HandModel
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.ranking import (
    AGREEMENT_WEIGHT,
    LEAST_AGREEMENT,
    MARGIN_WEIGHT,
    STRICTNESS,
    TOUCHING,
    merit,
    touch_agreement,
)


@pytest.fixture(scope="module")
def scene() -> HandOnObject:
    return HandOnObject(HandModel.load("shadow"), held_grasps()["carton"].target.sdf, 0.0)


@pytest.fixture(scope="module")
def pose() -> HandPose:
    return held_grasps()["carton"].pose


@pytest.fixture(scope="module")
def clumps(scene, pose) -> tuple[torch.Tensor, torch.Tensor]:
    """A clump of points about the first contact that touches and one about another: points, which are of the first."""
    contacts = scene.contacts(pose)
    touching = contacts.point[0, contacts.gap[0] < TOUCHING]
    assert len(touching) >= 2
    far = touching[(touching - touching[0]).norm(dim=-1).argmax()]
    spread = 0.002 * torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
    return torch.cat((touching[0] + spread, far + spread)), torch.arange(60) < 30


def _share_at_first(scene: HandOnObject, pose: HandPose, points: torch.Tensor) -> float:
    """Return the share of touching contacts that lie nearer to the first clump, contact by contact."""
    contacts = scene.contacts(pose)
    sides = []
    for gap, point in zip(contacts.gap[0], contacts.point[0], strict=True):
        if gap < TOUCHING:
            sides.append(int((points - point).norm(dim=-1).argmin()) < 30)
    return sum(sides) / len(sides)


def test_agreement_falls_with_every_contact_off_the_wanted_clump(scene, pose, clumps):
    points, first = clumps
    share = _share_at_first(scene, pose, points)
    assert 0.0 < share < 1.0
    for wanted, on_it in ((first, share), (~first, 1.0 - share)):
        expected = max(LEAST_AGREEMENT, LEAST_AGREEMENT ** (STRICTNESS * (1.0 - on_it)))
        assert touch_agreement(scene, pose, points, wanted.float()).item() == pytest.approx(expected, rel=1e-4)


def test_agreement_compares_with_the_best_place_of_the_map(scene, pose, clumps):
    """A timid map and a bold one that want the same place say the same; a flat one agrees with every contact."""
    points, first = clumps
    share = _share_at_first(scene, pose, points)
    timid = torch.where(first, 0.3, 0.03)
    expected = 0.1 ** (STRICTNESS * (1.0 - share))
    assert touch_agreement(scene, pose, points, timid).item() == pytest.approx(expected, rel=1e-4)
    assert touch_agreement(scene, pose, points, torch.full((60,), 0.2)).item() == pytest.approx(1.0, abs=1e-6)


def test_a_place_wanted_half_as_much_agrees_half_as_well(scene, pose, clumps):
    """No place below the best is forgiven in full: bowls would be held by the rim where their body is asked for."""
    points, first = clumps
    share = _share_at_first(scene, pose, points)
    assert share < 1.0
    half = torch.where(first, 0.8, 0.4)
    expected = 0.5 ** (STRICTNESS * (1.0 - share))
    assert touch_agreement(scene, pose, points, half).item() == pytest.approx(expected, rel=1e-4) != 1.0


def test_one_loud_point_does_not_make_all_others_wrong(scene, pose, clumps):
    points, _ = clumps
    chance = torch.full((60,), 0.2)
    chance[0] = 1.0
    assert touch_agreement(scene, pose, points, chance).item() > 0.9


def test_a_hand_that_touches_nothing_agrees_with_nothing(scene, pose, clumps):
    points, _ = clumps
    away = HandPose(pose.joints, pose.rotation, pose.translation + torch.tensor([0.0, 0.0, 0.5]))
    both = HandPose(*(torch.cat(values) for values in zip(_fields(pose), _fields(away), strict=True)))
    agreement = touch_agreement(scene, both, points, torch.ones(60))
    assert agreement.tolist() == pytest.approx([1.0, LEAST_AGREEMENT])


def _fields(pose: HandPose) -> tuple[torch.Tensor, ...]:
    return pose.joints, pose.rotation, pose.translation


def test_an_empty_map_is_no_division_by_zero(scene, pose, clumps):
    assert touch_agreement(scene, pose, clumps[0], torch.zeros(60)).item() == pytest.approx(LEAST_AGREEMENT)


SURELY = 20.0  # log-odds of what cannot fail


def _odds(*holds: float, hard: float = SURELY) -> torch.Tensor:
    """Return log-odds (B, 2) of grasps that half the friction holds as well, or as much as `hard` says."""
    return torch.stack((torch.tensor(holds), torch.full((len(holds),), hard)), 1)


def test_merit_is_the_log_of_the_chances():
    agreement = torch.tensor([0.5, 1.0, 1.0])
    expected = [(1 + AGREEMENT_WEIGHT) * math.log(0.5), -math.log1p(math.exp(-2.0)), math.log(0.5)]
    assert merit(_odds(0.0, 2.0, 0.0), agreement).tolist() == pytest.approx(expected, abs=1e-6)
    doubtful = [value + MARGIN_WEIGHT * math.log(0.5) for value in expected]
    assert merit(_odds(0.0, 2.0, 0.0, hard=0.0), agreement).tolist() == pytest.approx(doubtful, abs=1e-6)


def test_without_a_map_the_order_is_that_of_the_odds():
    odds = torch.randn(20, generator=torch.Generator().manual_seed(0))
    assert torch.equal(merit(_odds(*odds.tolist()), None).argsort(), odds.argsort())


def test_a_margin_decides_between_equals_and_does_not_outweigh_holding():
    sure, firm = torch.tensor([[3.0, 0.0]]), torch.tensor([[3.0, 2.0]])
    assert merit(firm, None) > merit(sure, None)
    assert merit(torch.tensor([[0.0, 0.0]]), None) < merit(torch.tensor([[3.0, -1.0]]), None)


def test_a_good_hold_on_the_wrong_part_loses_but_not_to_a_hopeless_one_on_the_right_part():
    odds = torch.tensor([0.95, 0.6, 0.02]).logit().tolist()
    wrong, right, hopeless = merit(_odds(*odds), torch.tensor([0.1, 1.0, 1.0]))
    assert right > wrong > hopeless


def test_a_complete_miss_costs_a_bounded_amount():
    assert merit(_odds(0.0), torch.zeros(1)).item() == pytest.approx(
        math.log(0.5) + AGREEMENT_WEIGHT * math.log(LEAST_AGREEMENT)
    )
