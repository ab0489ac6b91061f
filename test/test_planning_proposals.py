"""Proposals: what refinement writes into grasps, and the order in which the target hand's grasps are tried."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from held_grasps import held_grasps

from maskdex_core.grasp.types import GraspBatch
from maskdex_core.hands.model import HandModel
from maskdex_core.planning import proposals
from maskdex_core.planning.geometry import ObjectGeometry
from maskdex_core.planning.object_grasps import AS_DRAWN
from maskdex_core.planning.proposals import pose_of, propose, refine_grasps
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.optimizer import RefineConfig
from maskdex_core.refine.ranking import AGREEMENT_WEIGHT, TOUCHING, hold_odds, merit, touch_agreement
from maskdex_core.refine.squeeze import solve_closing


@pytest.fixture(scope="module")
def hand() -> HandModel:
    return HandModel.load("shadow")


@pytest.fixture(scope="module")
def geometry() -> ObjectGeometry:
    target = held_grasps()["carton"].target
    points = torch.tensor(target.sample_surface(500)[0], dtype=torch.float32)
    return ObjectGeometry(np.zeros(3), points, target.sdf, 0.0)


@pytest.fixture(scope="module")
def grasps(hand) -> GraspBatch:
    """The same grasp four times, told apart by its confidence."""
    pose = held_grasps()["carton"].pose
    rows = [0] * 4
    numbers = torch.tensor([0.1, 0.2, 0.3, 0.4])
    return GraspBatch(
        hand.joint_names, pose.joints[rows], pose.rotation[rows], pose.translation[rows], confidence=numbers
    )


def test_refinement_writes_chance_agreement_and_score(hand, grasps, geometry):
    judged = refine_grasps(hand, grasps, geometry, AS_DRAWN, touch=torch.ones(500))
    assert ((judged.chance > 0.0) & (judged.chance < 1.0)).all()
    assert judged.agreement.tolist() == pytest.approx([1.0] * 4)
    assert (judged.score < judged.chance.log()).all()  # full agreement costs nothing, a small margin does
    low = torch.where(geometry.points[:, 2] < geometry.points[:, 2].quantile(0.1), 1.0, 0.0)
    part = refine_grasps(hand, grasps, geometry, AS_DRAWN, touch=low)
    assert (part.agreement < 0.5).all() and (part.score < judged.score).all()
    assert torch.equal(part.chance, judged.chance)  # holding knows nothing of the text
    assert torch.allclose(part.score - judged.score, AGREEMENT_WEIGHT * part.agreement.log(), atol=1e-4)


@pytest.fixture(scope="module")
def touch(hand, grasps, geometry) -> torch.Tensor:
    """A map (P,) that wants every place but 12 mm about where the last finger touches."""
    contacts = HandOnObject(hand, geometry.sdf, 0.0).contacts(pose_of(grasps))
    last = contacts.point[0, contacts.gap[0] < TOUCHING][-1]
    return torch.where((geometry.points - last).norm(dim=-1) < 0.012, 0.05, 0.8)


def test_a_grasp_astray_is_refined_again_and_the_better_one_is_kept(hand, grasps, geometry, touch, monkeypatch):
    """One finger of three stands where nothing is wanted: it lets go, the others hold. In the air nothing helps."""
    raised = _raised(grasps, [0.0, 0.5, 0.0, 0.0])
    twice = refine_grasps(hand, raised, geometry, RefineConfig(), touch=touch)
    monkeypatch.setattr(proposals, "SURE", 0.0)
    once = refine_grasps(hand, raised, geometry, RefineConfig(), touch=touch)
    assert once.agreement[0] < 0.5 and twice.agreement[0] > 0.95
    assert twice.chance[0] > 0.6  # two fingers of three
    assert (twice.score >= once.score).all() and twice.score[0] > once.score[0] + 0.5
    assert torch.equal(twice.confidence, grasps.confidence)  # rows stay in their places
    assert torch.equal(twice.joints[1], once.joints[1])
    assert torch.allclose(twice.score, merit(_odds(hand, twice, geometry), twice.agreement), atol=1e-3)


def _odds(hand, grasps, geometry) -> torch.Tensor:
    scene, pose = HandOnObject(hand, geometry.sdf, geometry.table_height), pose_of(grasps)
    return hold_odds(scene, pose, solve_closing(scene, pose), geometry.points)


def test_a_grasp_that_agrees_or_stays_as_drawn_is_not_refined_again(hand, grasps, geometry, touch, monkeypatch):
    calls = []
    monkeypatch.setattr(proposals, "refine_hands_off", lambda *args: calls.append(args))
    refine_grasps(hand, grasps, geometry, RefineConfig(), touch=torch.ones(500))
    refine_grasps(hand, grasps, geometry, RefineConfig())
    refine_grasps(hand, grasps, geometry, AS_DRAWN, touch=touch)
    assert calls == []


def test_an_edit_refined_again_holds_what_it_must(hand, grasps, geometry, touch):
    movable = hand.joint_part == hand.joint_part[0]
    made = refine_grasps(hand, grasps, geometry, RefineConfig(), movable, True, touch)
    assert torch.equal(made.joints[:, ~movable], grasps.joints[:, ~movable])
    assert torch.equal(made.palm_translation, grasps.palm_translation)


def test_without_a_map_an_old_agreement_does_not_stay(hand, grasps, geometry):
    judged = refine_grasps(hand, grasps.replace(agreement=torch.full((4,), 0.3)), geometry, AS_DRAWN)
    assert judged.agreement is None
    assert torch.allclose(judged.score, merit(_odds(hand, judged, geometry), None), atol=1e-4)


def _order(hand, grasps, geometry, agreement: list[float] | None, monkeypatch) -> list[float]:
    """Return the confidences, by which rows are told apart, in the order of the proposals."""
    known, wanted = (None, None) if agreement is None else (torch.tensor(agreement), torch.ones(500))
    monkeypatch.setattr(proposals, "touch_agreement", lambda *_: known)
    made = propose(hand, hand, grasps, geometry, 0.08, wanted)
    for row, agreed in enumerate(made.agreement if known is not None else ()):
        assert agreed == known[(grasps.confidence == made.grasps.confidence[row]).nonzero().item()]
    return [round(value, 1) for value in made.grasps.confidence.tolist()]


def _raised(grasps: GraspBatch, heights: list[float]) -> GraspBatch:
    """Return the grasps with palms raised by some heights (m): half a metre up a hand holds nothing."""
    up = torch.tensor([[0.0, 0.0, height] for height in heights])
    return grasps.replace(palm_translation=grasps.palm_translation + up)


def test_agreement_decides_between_equal_costs(hand, grasps, geometry, monkeypatch):
    assert _order(hand, grasps, geometry, [0.3, 0.05, 0.4, 0.1], monkeypatch) == [0.3, 0.1, 0.4, 0.2]


def test_agreement_is_that_of_the_hand_that_will_touch(hand, grasps, geometry, monkeypatch):
    leap, seen = HandModel.load("leap"), []

    def spied(scene: HandOnObject, *told: torch.Tensor) -> torch.Tensor:
        seen.append((scene.hand.name, told[0]))
        return touch_agreement(scene, *told)

    monkeypatch.setattr(proposals, "touch_agreement", spied)
    low = torch.where(geometry.points[:, 2] < geometry.points[:, 2].quantile(0.5), 1.0, 0.1)
    made = propose(hand, leap, grasps.replace(agreement=torch.zeros(4)), geometry, 0.08, low)
    ((name, pose),) = seen
    assert name == "leap" and torch.equal(pose.joints, made.target.pose.joints)  # equal rows: any order
    assert (made.agreement > 0.0).all()
    assert propose(hand, leap, grasps, geometry, 0.08).agreement is None


def test_without_agreement_cost_alone_decides(hand, grasps, geometry, monkeypatch):
    raised = _raised(grasps, [0.5, 0.0, 0.002, 0.004])
    assert (propose(hand, hand, raised, geometry, 0.08).cost.diff() >= 0.0).all()
    order = _order(hand, raised, geometry, None, monkeypatch)
    assert order == _order(hand, raised, geometry, [0.1] * 4, monkeypatch)
    assert order[-1] == 0.1


def test_a_hold_comes_before_agreement_and_the_cost_says_nothing_of_the_text(hand, grasps, geometry, monkeypatch):
    raised = _raised(grasps, [0.0, 0.5, 0.0, 0.5])
    assert _order(hand, raised, geometry, [0.1, 0.9, 0.01, 0.3], monkeypatch) == [0.1, 0.3, 0.2, 0.4]
    first = propose(hand, hand, raised, geometry, 0.08)
    second = propose(hand, hand, raised, geometry, 0.08, torch.ones(500))
    assert torch.equal(first.cost.sort().values, second.cost.sort().values)


def test_a_grasp_that_leans_on_one_closing_of_the_object_is_doubted(hand, grasps, geometry):
    """The second closing has the object 40 mm aside, where the fingers do not meet it."""
    there = geometry.sdf.moved(np.array([0.0, -0.04, 0.0]))
    unsure = dataclasses.replace(geometry, second=there)
    sure, same = (
        refine_grasps(hand, grasps, one, AS_DRAWN)
        for one in (geometry, dataclasses.replace(geometry, second=geometry.sdf))
    )
    assert torch.allclose(sure.chance, same.chance, atol=1e-5)
    assert (refine_grasps(hand, grasps, unsure, AS_DRAWN).chance < sure.chance - 0.1).all()


def test_each_proposal_keeps_its_own_chance_to_hold(hand, grasps, geometry):
    judged = refine_grasps(hand, _raised(grasps, [0.5, 0.0, 0.002, 0.004]), geometry, AS_DRAWN)
    made = propose(hand, hand, judged, geometry, 0.08)
    assert torch.equal(made.chance, made.grasps.chance) and made.chance[-1] < 0.1 < made.chance[0]
    other = propose(hand, HandModel.load("leap"), judged, geometry, 0.08)  # judged anew, on the hand that will hold
    assert ((other.chance > 0.0) & (other.chance < 1.0)).all() and not torch.equal(other.chance, other.grasps.chance)
