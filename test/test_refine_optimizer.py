"""Refinement: disturbed grasps come back into contact, and what must not move does not."""

import pytest
import torch
from held_grasps import held_grasps

from maskdex_core.hands import HandModel
from maskdex_core.refine.energy import ContactEnergy
from maskdex_core.refine.optimizer import RefineConfig, nearly_touching, refine, rotation_from_columns
from maskdex_core.refine.pose import HandPose

HAND = HandModel.load("shadow")
CONFIG = RefineConfig(steps=80)
PART = {name: index for index, name in enumerate(HAND.part_names)}


@pytest.fixture(scope="module")
def energy():
    return ContactEnergy(HAND, held_grasps()["can"].target.sdf, 0.0)


@pytest.fixture(scope="module")
def disturbed():
    """Eight copies of a tripod on a can, off by about 5 mm, 5 degrees and 0.06 rad a joint."""
    pose = held_grasps()["can"].pose
    generator = torch.Generator().manual_seed(0)

    def noise(*shape):
        return torch.randn(8, *shape, generator=generator)

    joints = HAND.clamp(pose.joints + 0.06 * noise(22))
    columns = pose.rotation[:, :, :2] + 0.05 * noise(3, 2)
    return HandPose(joints, rotation_from_columns(columns), pose.translation + 0.003 * noise(3))


@pytest.fixture(scope="module")
def touching():
    links = held_grasps()["can"].contact_links
    return torch.tensor([[float(link in links) for link in HAND.spec.contact_links]]).expand(8, -1)


@pytest.fixture(scope="module")
def refined(energy, disturbed, touching):
    return refine(energy, disturbed, CONFIG, touching)


def _energy_of(energy, start, active, config):
    count = len(start)
    terms = energy(start, start, active, torch.zeros(count, active.shape[1], 3))
    return terms.total(config.weights)


def _gaps(energy, pose, active):
    return energy.contacts(pose).gap[active.bool()].reshape(len(pose), -1).abs()


def test_the_energy_falls(energy, disturbed, touching, refined):
    before = _energy_of(energy, disturbed, touching, RefineConfig())
    assert refined.energy.shape == (8,)
    assert (refined.energy < before).all()
    assert refined.energy.median() < 0.2 * before.median()


def test_gaps_close_and_nothing_penetrates(energy, disturbed, touching, refined):
    before, after = _gaps(energy, disturbed, touching), _gaps(energy, refined.pose, touching)
    assert before.median() > 0.0025
    assert after.median() < 0.0015 and after.max() < 0.004
    assert energy.penetration(disturbed).max() > 0.003
    assert energy.penetration(refined.pose).max() < 0.0015


def test_it_stays_near_where_it_began(disturbed, refined):
    assert (refined.pose.translation - disturbed.translation).norm(dim=-1).max() < 0.02
    assert (refined.pose.joints - disturbed.joints).abs().median() < 0.15


def test_rotations_stay_rotations_and_joints_inside_their_limits(refined):
    eye = refined.pose.rotation @ refined.pose.rotation.transpose(1, 2)
    assert (eye - torch.eye(3)).abs().max() < 1e-5 and torch.linalg.det(refined.pose.rotation).min() > 0.999
    assert (refined.pose.joints >= HAND.lower).all() and (refined.pose.joints <= HAND.upper).all()


def test_repeats_exactly(energy, disturbed, touching, refined):
    again = refine(energy, disturbed, CONFIG, touching)
    assert torch.equal(again.pose.joints, refined.pose.joints) and torch.equal(again.energy, refined.energy)


def test_starts_are_not_touched(energy, disturbed, touching):
    before = disturbed.joints.clone(), disturbed.rotation.clone(), disturbed.translation.clone()
    refine(energy, disturbed, RefineConfig(steps=3), touching)
    for old, new in zip(before, (disturbed.joints, disturbed.rotation, disturbed.translation), strict=True):
        assert torch.equal(old, new)


@pytest.mark.parametrize("fingers", [("ring",), ("thumb", "index")])
def test_locality_unedited_joints_and_the_palm_stay_bitwise(energy, disturbed, fingers):
    movable = torch.tensor([int(part) in [PART[f] for f in fingers] for part in HAND.joint_part])
    result = refine(energy, disturbed, RefineConfig(steps=10), movable=movable, hold_palm=True)
    assert torch.equal(result.pose.joints[:, ~movable], disturbed.joints[:, ~movable])
    assert torch.equal(result.pose.rotation, disturbed.rotation)
    assert torch.equal(result.pose.translation, disturbed.translation)
    assert (result.pose.joints[:, movable] - disturbed.joints[:, movable]).abs().max() > 0.01


def test_holding_the_palm_still_closes_gaps(energy, disturbed, touching):
    result = refine(energy, disturbed, CONFIG, touching, hold_palm=True)
    assert torch.equal(result.pose.translation, disturbed.translation)
    assert torch.equal(result.pose.rotation, disturbed.rotation)
    assert _gaps(energy, result.pose, touching).median() < 0.6 * _gaps(energy, disturbed, touching).median()


def test_a_mask_alone_lets_the_palm_move(energy, disturbed, touching):
    movable = torch.zeros(22, dtype=torch.bool)
    result = refine(energy, disturbed, RefineConfig(steps=10), touching, movable=movable)
    assert torch.equal(result.pose.joints, disturbed.joints)
    assert (result.pose.translation - disturbed.translation).norm(dim=-1).max() > 5e-4


def test_rows_do_not_depend_on_their_neighbours(energy, disturbed, touching, refined):
    alone = refine(energy, disturbed[2:3], CONFIG, touching[2:3])
    # float32 sums of another batch size round differently, and steps multiply that.
    assert (alone.pose.joints - refined.pose.joints[2:3]).abs().max() < 0.02
    assert (alone.pose.translation - refined.pose.translation[2:3]).norm() < 0.002


def test_attraction_pulls(energy, disturbed, touching):
    goal = disturbed.to_object(HAND.tip_points(disturbed.joints))[:, 4] + torch.tensor([0.0, 0.0, 0.02])

    def miss(pose):
        return (pose.to_object(HAND.tip_points(pose.joints))[:, 4] - goal).square().sum(-1) / 0.01**2

    free = refine(energy, disturbed, RefineConfig(steps=20), touching)
    drawn = refine(energy, disturbed, RefineConfig(steps=20), touching, attraction=miss)
    assert miss(drawn.pose).median() < 0.6 * miss(free.pose).median()


def test_at_least_two_links_are_drawn_into_contact(energy, disturbed):
    far = HandPose(disturbed.joints, disturbed.rotation, disturbed.translation + torch.tensor([0, 0, 0.3]))
    assert (nearly_touching(energy, far, 0.015).sum(-1) == 2).all()
    near = nearly_touching(energy, disturbed, 0.015)
    gap = energy.contacts(disturbed).gap
    assert (near[gap <= 0.015] == 1).all() and (near.sum(-1) >= 2).all()


def test_columns_make_rotations():
    columns = torch.randn(50, 3, 2, generator=torch.Generator().manual_seed(1))
    rotation = rotation_from_columns(columns)
    assert (rotation @ rotation.transpose(1, 2) - torch.eye(3)).abs().max() < 1e-5
    assert torch.linalg.det(rotation).min() > 0.999
    assert (rotation_from_columns(rotation[:, :, :2]) - rotation).abs().max() < 1e-5
