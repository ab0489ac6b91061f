"""The squeeze's motion: what holds stays, what is pressed from one side goes, friction and pushes count."""

import pytest
import torch
from held_grasps import held_grasps

from maskdex_core.hands.model import HandModel
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.squeeze import SqueezeConfig, solve_closing
from maskdex_core.refine.squeeze_motion import DRAG, MOST, PUSHING, SqueezeMotion, squeeze_motion

HAND = HandModel.load("shadow")
FAMILIES = tuple(held_grasps())


def _motion(family: str, friction: float = 0.6, parts: range = range(6), away: float = 0.0) -> SqueezeMotion:
    """Squeeze a stored grasp with the fingers of some parts, the hand that far above where it belongs."""
    grasp = held_grasps()[family]
    pose = HandPose(grasp.pose.joints, grasp.pose.rotation, grasp.pose.translation + torch.tensor([0.0, 0.0, away]))
    squeeze = torch.tensor(grasp.squeeze, dtype=torch.float32)[None]
    pressing = torch.tensor([int(part) in parts for part in HAND.joint_part])
    squeeze = torch.where(pressing, squeeze, pose.joints)
    return squeeze_motion(HandOnObject(HAND, grasp.target.sdf, 0.0), pose, squeeze, torch.tensor([friction]))


def test_a_grasp_that_holds_keeps_its_object():
    turns = torch.cat([_motion(family).turn for family in FAMILIES])
    shifts = torch.cat([_motion(family).shift for family in FAMILIES])
    assert turns.median() < 0.1 and shifts.median() < 0.005
    assert torch.cat([_motion(family).force for family in FAMILIES]).median() > 5.0  # of the 20 N that were solved for


def test_the_thumb_alone_pushes_it_away():
    one_sided = torch.cat([_motion(family, parts=range(1, 2)).shift for family in FAMILIES])
    held = torch.cat([_motion(family).shift for family in FAMILIES])
    assert (one_sided / held).median() > 2.0


def test_half_the_friction_holds_less_against_a_push():
    slippery = torch.cat([_motion(family, friction=0.1).pushed_shift for family in FAMILIES])
    rough = torch.cat([_motion(family, friction=0.6).pushed_shift for family in FAMILIES])
    assert slippery.median() > 1.5 * rough.median()


def test_nothing_touched_nothing_moved_but_by_the_push():
    motion = _motion("carton", away=0.5)
    assert motion.turn < 1e-3 and motion.shift < 1e-6 and motion.force == 0.0  # as near as float32 tells
    least = min(1.0 / DRAG, MOST[2]) * PUSHING
    assert motion.pushed_shift.item() == pytest.approx(least, rel=1e-3) and motion.pushed_turn.item() < 1e-3


def test_a_batch_is_its_rows():
    one, other = _motion("carton"), _motion("carton", friction=0.3)
    grasp = held_grasps()["carton"]
    both = HandPose.joined([grasp.pose, grasp.pose])
    squeeze = torch.tensor(grasp.squeeze, dtype=torch.float32).repeat(2, 1)
    made = squeeze_motion(HandOnObject(HAND, grasp.target.sdf, 0.0), both, squeeze, torch.tensor([0.6, 0.3]))
    assert made.pushed_shift.tolist() == pytest.approx([one.pushed_shift.item(), other.pushed_shift.item()], abs=1e-4)
    assert made.force.tolist() == pytest.approx([one.force.item(), other.force.item()], rel=1e-2)


@pytest.mark.parametrize("name", ["freedom_v2", "leap", "allegro"])
def test_other_hands_squeeze_too(name):
    hand, carton = HandModel.load(name), held_grasps()["carton"]
    scene = HandOnObject(hand, carton.target.sdf, 0.0)
    joints = ((hand.lower + hand.upper) / 2)[None]
    pose = HandPose(joints, carton.pose.rotation, carton.pose.translation)
    squeeze = solve_closing(scene, pose, SqueezeConfig(stiffness=hand.spec.stiffness)).squeeze
    motion = squeeze_motion(scene, pose, squeeze, torch.tensor([0.6]))
    for value in (motion.turn, motion.shift, motion.force, motion.pushed_turn, motion.pushed_shift):
        assert value.shape == (1,) and value.isfinite().all() and (value >= 0).all()
