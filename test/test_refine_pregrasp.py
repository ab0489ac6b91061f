"""Pre-grasps that a hand can come with: clear of the object, out of the table, within the joints' limits."""

from __future__ import annotations

import pytest
import torch
from held_grasps import held_grasps

from maskdex_core.hands import HandModel
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.pregrasp import open_clear, wide_open
from maskdex_core.refine.squeeze import solve_closing

HAND = HandModel.load("shadow")
FAMILIES = ("carton", "can", "knife", "mug")


def _case(family: str) -> tuple[HandOnObject, HandPose]:
    grasp = held_grasps()[family]
    return HandOnObject(HAND, grasp.target.sdf, 0.0), grasp.pose


@pytest.mark.parametrize("family", FAMILIES)
def test_it_opens_clear_of_object_and_table(family: str) -> None:
    scene, pose = _case(family)
    backed_off = solve_closing(scene, pose).pregrasp
    joints = open_clear(scene, pose, backed_off)
    opened, before = (HandPose(q, pose.rotation, pose.translation) for q in (joints, backed_off))
    assert float(scene.clearance(opened)) > 0.003
    assert float(scene.clearance(opened)) >= float(scene.clearance(before)) - 0.003
    assert float(scene.table_depth(opened)) <= max(0.002, float(scene.table_depth(before)))
    assert ((joints >= HAND.lower - 1e-6) & (joints <= HAND.upper + 1e-6)).all()
    assert float((joints - pose.joints).abs().max()) < 1.0  # rad: it opens, it does not strike another posture


def test_a_hand_that_is_clear_already_hardly_moves() -> None:
    scene, pose = _case("carton")
    far = HandPose(pose.joints, pose.rotation, pose.translation + torch.tensor([0.0, 0.0, 0.3]))
    assert float((open_clear(scene, far, far.joints) - far.joints).abs().max()) < 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_wide_open_fingers_stand_farther_off_and_out_of_the_table(family: str) -> None:
    scene, pose = _case(family)
    backed_off = solve_closing(scene, pose).pregrasp
    plain, wide = (how(scene, pose, backed_off) for how in (open_clear, wide_open))
    fingers = scene.hand.sphere_part > 0

    def nearest(joints: torch.Tensor) -> torch.Tensor:
        centers = scene.centers(HandPose(joints, pose.rotation, pose.translation))
        return (scene.sdf.distance(centers) - HAND.sphere_radius)[:, fingers].sort(-1).values[:, :20].mean()

    assert float(nearest(wide)) > float(nearest(plain)) + 0.002
    before = float(scene.table_depth(HandPose(backed_off, pose.rotation, pose.translation)))
    assert float(scene.table_depth(HandPose(wide, pose.rotation, pose.translation))) <= max(0.002, before)
    assert ((wide >= HAND.lower - 1e-6) & (wide <= HAND.upper + 1e-6)).all()
