"""Residuals: zero where nothing is wrong, of order 1 where something is, with the rows of their slopes."""

import pytest
import torch
from analytic_fields import ball
from held_grasps import held_grasps

from maskdex_core.hands import HandModel
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.residuals import ErrorScales, GraspResiduals, overlaps
from maskdex_core.refine.rows import apply_step

HAND = HandModel.load("shadow")
LINKS = HAND.spec.contact_links
FAR = ball((0, 0, 1.0), 0.03)


def _flat(**angles):
    joints = torch.zeros(1, 22)
    for name, angle in angles.items():
        joints[:, HAND.joint_names.index(name)] = angle
    return HandPose(joints, torch.eye(3)[None], torch.zeros(1, 3))


def _energy(scene, pose, active=None, start=None, scales=None):
    active = torch.zeros(len(pose), len(LINKS)) if active is None else active
    residuals = GraspResiduals(scene, scales or ErrorScales(), start or pose, active)(pose)
    return residuals.values.square().sum(-1).item()


@pytest.fixture(scope="module")
def on_can():
    grasp = held_grasps()["can"]
    return HandOnObject(HAND, grasp.target.sdf, 0.0), grasp.pose


def test_a_hand_far_away_has_nothing_wrong():
    assert _energy(HandOnObject(HAND, FAR, -1.0), _flat()) == 0


def test_a_hand_in_the_object_penetrates():
    assert _energy(HandOnObject(HAND, ball((0.011, 0.0, 0.05), 0.03)), _flat()) > 1000


def test_self_collision_counts_crossing_fingers_only():
    scene = HandOnObject(HAND, FAR)
    assert _energy(scene, _flat(FFJ4=-0.34)) == 0
    assert _energy(scene, _flat(FFJ4=0.34)) > 10
    assert _energy(scene, _flat(FFJ3=1.5, FFJ2=1.5, FFJ1=1.5)) == 0  # a finger bent on itself


def test_the_table_is_felt_only_when_there_is_one():
    lowest = HAND.surface_points(_flat().joints)[0, :, 2].min().item()
    assert _energy(HandOnObject(HAND, FAR, lowest - 0.01), _flat()) == 0
    assert _energy(HandOnObject(HAND, FAR, lowest + 0.02), _flat()) > 50
    assert _energy(HandOnObject(HAND, FAR), _flat()) == 0


def test_gaps_count_for_active_links_only(on_can):
    scene, pose = on_can
    touching = (scene.contacts(pose).gap < 0.003).float()
    away = HandPose(pose.joints, pose.rotation, pose.translation + pose.rotation @ torch.tensor([0.0, 0.01, 0]))
    assert _energy(scene, pose, touching) < 0.3 * _energy(scene, away, touching)
    assert _energy(scene, away, touching) > _energy(scene, away) + 1


def test_a_gap_of_one_scale_costs_one():
    pose, link = _flat(), LINKS.index("rh_mfmiddle")
    mine = HAND.sphere_link == HAND.link_index("rh_mfmiddle")
    centers = HAND.place(HAND.link_transforms(pose.joints), HAND.sphere_link, HAND.sphere_center)[0]
    reach = float(HAND.sphere_radius[mine].max()) + 0.015 + 0.0008 + 0.002
    scene = HandOnObject(HAND, ball((centers[mine].mean(0) - torch.tensor([0, reach, 0])).tolist(), 0.015))
    active = torch.zeros(1, len(LINKS))
    active[0, link] = 1
    assert _energy(scene, pose, active) == pytest.approx(1, abs=0.35)  # the sphere row is not continuous


def test_far_links_pull_no_more_than_the_robust_kernel_lets_them():
    active = torch.zeros(1, len(LINKS))
    active[0, LINKS.index("rh_ffdistal")] = 1
    costs = [_energy(HandOnObject(HAND, ball((0, -d, 0.15), 0.02)), _flat(), active) for d in (0.3, 0.6)]
    most = (ErrorScales().reach / ErrorScales().gap) ** 2
    assert costs[0] < costs[1] < 1.01 * most and costs[1] - costs[0] < 0.02 * most


def test_the_prior_is_the_weighted_distance_from_the_start():
    start, pose = _flat(), _flat(FFJ3=0.5)
    moved = HandPose(pose.joints, pose.rotation, torch.tensor([[0.03, 0.0, 0.0]]))
    scales = ErrorScales(joint=1.0, shift=0.03)
    assert _energy(HandOnObject(HAND, FAR), moved, start=start, scales=scales) == pytest.approx(0.25 + 1)


@pytest.mark.parametrize("seed", range(4))
def test_the_energy_falls_as_the_rows_say(on_can, seed):
    scene, held = on_can
    generator = torch.Generator().manual_seed(seed)
    size = torch.tensor([0.05] * 22 + [0.02] * 3 + [0.003] * 3)
    pose = apply_step(HAND, held, size * torch.randn(1, 28, generator=generator))
    touching = (scene.contacts(held).gap < 0.003).float()
    residuals = GraspResiduals(scene, ErrorScales(), held, touching)
    at_pose, step = residuals(pose), 1e-4
    slopes = 2 * (at_pose.rows.transpose(1, 2) @ at_pose.values[..., None]).squeeze(-1)
    # Joints at a limit do not move both ways.
    free = torch.cat([(pose.joints > HAND.lower + 1e-3) & (pose.joints < HAND.upper - 1e-3), torch.ones(1, 6)], -1)
    wrong = []
    for _ in range(8):
        way = free * size / size.max() * torch.randn(1, 28, generator=generator)
        ahead, behind = (residuals(apply_step(HAND, pose, sign * step * way)).values.square().sum() for sign in (1, -1))
        measured, expected = (ahead - behind) / (2 * step), (slopes * way).sum()
        wrong.append(float((measured - expected).abs() / (slopes * way).abs().sum()))
    # Some straddle a kink: another nearest sphere, a cell of the field, a clearance just reached.
    assert sorted(wrong)[4] < 0.05, wrong


def test_of_overlapping_spheres_the_deepest_are_kept_sample_by_sample():
    centers = torch.zeros(3, 4, 3)
    centers[:, :, 0] = torch.tensor([[0.0, 0.9, 5.0, 6.5], [0.0, 5.0, 10.0, 15.0], [0.0, 0.2, 0.5, 9.0]])
    pairs = (torch.tensor([0, 0, 1, 2]), torch.tensor([1, 2, 2, 3]))
    depth, first, second = overlaps(centers, pairs, torch.tensor([1.0, 1.0, 1.0, 2.0]))
    expected = torch.tensor([[0.5, 0.1, 0.0], [0.0, 0.0, 0.0], [0.8, 0.7, 0.5]])
    assert (depth - expected).abs().max() < 1e-6
    assert first[0, :2].tolist() == [2, 0] and second[0, :2].tolist() == [3, 1]
    assert first[2].tolist() == [0, 1, 0] and second[2].tolist() == [1, 2, 2]
    assert overlaps(centers[1:2], pairs, torch.ones(4)) is None
