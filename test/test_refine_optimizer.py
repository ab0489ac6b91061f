"""Refinement: disturbed grasps come back into contact, and what must not move does not."""

import pytest
import torch
from held_grasps import held_grasps

from maskdex_core.hands import HandModel
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.optimizer import RefineConfig, nearly_touching, refine
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.residuals import GraspResiduals, Residuals
from maskdex_core.refine.rows import apply_step

HAND = HandModel.load("shadow")
CONFIG = RefineConfig()
PART = {name: index for index, name in enumerate(HAND.part_names)}


@pytest.fixture(scope="module")
def scene():
    return HandOnObject(HAND, held_grasps()["can"].target.sdf, 0.0)


@pytest.fixture(scope="module")
def disturbed():
    """Eight copies of a tripod on a can, off by about 5 mm, 5 degrees and 0.06 rad a joint."""
    pose = held_grasps()["can"].pose
    size = torch.tensor([0.06] * 22 + [0.05] * 3 + [0.003] * 3)
    noise = torch.randn(8, 28, generator=torch.Generator().manual_seed(0))
    copies = HandPose(*(t.expand(8, *t.shape[1:]) for t in (pose.joints, pose.rotation, pose.translation)))
    return apply_step(HAND, copies, size * noise)


@pytest.fixture(scope="module")
def touching():
    links = held_grasps()["can"].contact_links
    return torch.tensor([[float(link in links) for link in HAND.spec.contact_links]]).expand(8, -1)


@pytest.fixture(scope="module")
def refined(scene, disturbed, touching):
    return refine(scene, disturbed, CONFIG, touching)


def _energy_of(scene, pose, active):
    residuals = GraspResiduals(scene, CONFIG.scales, pose, active)
    return residuals(pose).values.square().sum(-1)


def _gaps(scene, pose, active):
    return scene.contacts(pose).gap[active.bool()].reshape(len(pose), -1).abs()


def test_the_energy_falls(scene, disturbed, touching, refined):
    before = _energy_of(scene, disturbed, touching)
    assert refined.energy.shape == (8,)
    assert (refined.energy < before).all()
    assert refined.energy.median() < 0.2 * before.median()


def test_gaps_close_and_nothing_penetrates(scene, disturbed, touching, refined):
    before, after = _gaps(scene, disturbed, touching), _gaps(scene, refined.pose, touching)
    assert before.median() > 0.002
    assert after.median() < 0.0015 and after.max() < 0.004
    assert scene.penetration(disturbed).max() > 0.003
    assert scene.penetration(refined.pose).max() < 0.0015


def test_it_stays_near_where_it_began(disturbed, refined):
    assert (refined.pose.translation - disturbed.translation).norm(dim=-1).max() < 0.02
    assert (refined.pose.joints - disturbed.joints).abs().median() < 0.15


def test_rotations_stay_rotations_and_joints_inside_their_limits(refined):
    eye = refined.pose.rotation @ refined.pose.rotation.transpose(1, 2)
    assert (eye - torch.eye(3)).abs().max() < 1e-5 and torch.linalg.det(refined.pose.rotation).min() > 0.999
    assert (refined.pose.joints >= HAND.lower).all() and (refined.pose.joints <= HAND.upper).all()


def test_repeats_exactly(scene, disturbed, touching, refined):
    again = refine(scene, disturbed, CONFIG, touching)
    assert torch.equal(again.pose.joints, refined.pose.joints) and torch.equal(again.energy, refined.energy)


def test_starts_are_not_touched(scene, disturbed, touching):
    before = disturbed.joints.clone(), disturbed.rotation.clone(), disturbed.translation.clone()
    refine(scene, disturbed, RefineConfig(steps=3), touching)
    for old, new in zip(before, (disturbed.joints, disturbed.rotation, disturbed.translation), strict=True):
        assert torch.equal(old, new)


@pytest.mark.parametrize("fingers", [("ring",), ("thumb", "index")])
def test_locality_unedited_joints_and_the_palm_stay_bitwise(scene, disturbed, fingers):
    movable = torch.tensor([int(part) in [PART[f] for f in fingers] for part in HAND.joint_part])
    result = refine(scene, disturbed, RefineConfig(steps=10), movable=movable, hold_palm=True)
    assert torch.equal(result.pose.joints[:, ~movable], disturbed.joints[:, ~movable])
    assert torch.equal(result.pose.rotation, disturbed.rotation)
    assert torch.equal(result.pose.translation, disturbed.translation)
    assert (result.pose.joints[:, movable] - disturbed.joints[:, movable]).abs().max() > 0.01


def test_holding_the_palm_still_closes_gaps(scene, disturbed, touching):
    result = refine(scene, disturbed, CONFIG, touching, hold_palm=True)
    assert torch.equal(result.pose.translation, disturbed.translation)
    assert torch.equal(result.pose.rotation, disturbed.rotation)
    assert _gaps(scene, result.pose, touching).median() < 0.6 * _gaps(scene, disturbed, touching).median()


def test_a_mask_alone_lets_the_palm_move(scene, disturbed, touching):
    movable = torch.zeros(22, dtype=torch.bool)
    result = refine(scene, disturbed, RefineConfig(steps=10), touching, movable=movable)
    assert torch.equal(result.pose.joints, disturbed.joints)
    assert (result.pose.translation - disturbed.translation).norm(dim=-1).max() > 5e-4


def test_rows_do_not_depend_on_their_neighbours(scene, disturbed, touching, refined):
    alone = refine(scene, disturbed[2:3], CONFIG, touching[2:3])
    # float32 sums of another batch size round differently, and steps multiply that.
    assert (alone.pose.joints - refined.pose.joints[2:3]).abs().max() < 0.02
    assert (alone.pose.translation - refined.pose.translation[2:3]).norm() < 0.002


def test_a_goal_pulls(scene, disturbed, touching):
    links = HAND.tips[0]
    goal = disturbed.to_object(HAND.tip_points(disturbed.joints))[:, 4] + torch.tensor([0.0, 0.0, 0.02])

    def miss(pose):
        return pose.to_object(HAND.tip_points(pose.joints))[:, 4] - goal

    def residuals(pose, motion, view):
        placed = pose.to_object(HAND.tip_points(pose.joints))[:, 4:5]
        axes = [motion.along(links[4:5], placed, axis.expand_as(placed)) for axis in torch.eye(3)]
        return Residuals(miss(pose) / 0.002, torch.cat(axes, 1) / 0.002)

    free = refine(scene, disturbed, CONFIG, touching)
    drawn = refine(scene, disturbed, CONFIG, touching, goal=residuals)
    assert miss(drawn.pose).norm(dim=-1).median() < 0.4 * miss(free.pose).norm(dim=-1).median()


def test_links_that_nearly_touch_are_drawn_into_contact(scene, disturbed):
    far = HandPose(disturbed.joints, disturbed.rotation, disturbed.translation + torch.tensor([0, 0, 0.3]))
    assert nearly_touching(scene, far, CONFIG).sum() == 0
    near, gap = nearly_touching(scene, disturbed, CONFIG), scene.contacts(disturbed).gap
    tips = torch.tensor([link.endswith("distal") for link in HAND.spec.contact_links])
    assert (near[gap < CONFIG.touch] == 1).all()
    assert (near[(gap < CONFIG.attract) & tips] == 1).all() and (near[(gap > CONFIG.attract)] == 0).all()
    assert (near[(gap > CONFIG.touch) & ~tips] == 0).all()
