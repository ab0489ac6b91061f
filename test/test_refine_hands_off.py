"""Hands off: what touches where the text wants nothing lets go, the rest keeps its hold."""

from __future__ import annotations

import pytest
import torch
from held_grasps import held_grasps

from maskdex_core.hands.model import HandModel
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.hands_off import hands_off, refine_hands_off
from maskdex_core.refine.optimizer import RefineConfig, refine
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.ranking import TOUCHING

HAND = HandModel.load("shadow")
CONFIG = RefineConfig(steps=10)


@pytest.fixture(scope="module")
def scene() -> HandOnObject:
    return HandOnObject(HAND, held_grasps()["can"].target.sdf, 0.0)


@pytest.fixture(scope="module")
def pose(scene) -> HandPose:
    """A tripod on a can, in contact."""
    return refine(scene, held_grasps()["can"].pose, RefineConfig()).pose


@pytest.fixture(scope="module")
def seen() -> torch.Tensor:
    return torch.tensor(held_grasps()["can"].target.sample_surface(1500)[0], dtype=torch.float32)


@pytest.fixture(scope="module")
def fingers(scene, pose) -> tuple[int, torch.Tensor]:
    """A contact link that touches, and the others that do (C,)."""
    touching = scene.contacts(pose).gap[0] < TOUCHING
    assert int(touching.sum()) >= 2
    one = int(touching.nonzero()[-1])
    others = touching.clone()
    others[one] = False
    return one, others


@pytest.fixture(scope="module")
def touch(scene, pose, seen, fingers) -> torch.Tensor:
    """A map that wants all but 15 mm about where one finger touches."""
    place = scene.contacts(pose).point[0, fingers[0]]
    return torch.where((seen - place).norm(dim=-1) < 0.015, 0.05, 0.8)


def test_it_finds_what_lies_at_the_unwanted_place(scene, pose, seen, touch, fingers):
    off = hands_off(scene, pose, seen, touch)
    assert off.links.shape == (1, len(HAND.spec.contact_links)) and off.spheres.shape == (1, len(HAND.sphere_link))
    assert off.links[0, fingers[0]] and off.spheres[0, scene.contacts(pose).sphere[0, fingers[0]]]
    contacts = scene.contacts(pose).point[0]
    far = (contacts - contacts[fingers[0]]).norm(dim=-1) > 0.03
    assert far.any() and not off.links[0, far].any()


def test_the_finger_there_lets_go_and_the_others_stay(scene, pose, seen, touch, fingers):
    one, others = fingers
    made = refine_hands_off(scene, pose, CONFIG, seen, touch)
    gap = scene.contacts(made.pose).gap[0]
    assert gap[one] > TOUCHING > scene.contacts(refine(scene, pose, CONFIG).pose).gap[0, one]
    kept = others & ~hands_off(scene, pose, seen, touch).links[0]
    assert kept.any() and (gap[kept] < TOUCHING).all()
    assert scene.penetration(made.pose).item() < 0.001


def test_a_map_that_wants_every_place_changes_nothing(scene, pose, seen):
    plain, same = refine(scene, pose, CONFIG), refine_hands_off(scene, pose, CONFIG, seen, torch.full((1500,), 0.4))
    assert torch.equal(plain.pose.joints, same.pose.joints) and torch.equal(plain.energy, same.energy)


def test_what_must_not_move_does_not(scene, pose, seen, touch, fingers):
    part = int(HAND.link_part[HAND.contact_link_index[fingers[0]]])
    movable = HAND.joint_part == part
    made = refine_hands_off(scene, pose, CONFIG, seen, touch, movable, hold_palm=True).pose
    assert torch.equal(made.joints[:, ~movable], pose.joints[:, ~movable])
    assert torch.equal(made.rotation, pose.rotation) and torch.equal(made.translation, pose.translation)
    assert not torch.equal(made.joints[:, movable], pose.joints[:, movable])
