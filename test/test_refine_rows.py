"""Jacobian rows of points on the hand equal finite differences of the step that is applied."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from maskdex_core.hands import HandModel
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.rows import HandMotion, apply_step, rotation_exp


@pytest.mark.parametrize("name", ["shadow", "freedom_v2"])
def test_rows_equal_finite_differences(name):
    hand = HandModel.load(name)
    generator = torch.Generator().manual_seed(0)
    count = len(hand.joint_names)
    joints = (0.6 * hand.lower + 0.4 * hand.upper).expand(3, -1)  # clear of the limits
    rotation = rotation_exp(torch.randn(3, 3, generator=generator))
    pose = HandPose(joints, rotation, 0.1 * torch.randn(3, 3, generator=generator))
    link = hand.contact_link_index
    local = 0.02 * torch.randn(len(link), 3, generator=generator)
    direction = torch.nn.functional.normalize(torch.randn(3, len(link), 3, generator=generator), dim=-1)

    def place(at):
        return at.to_object(hand.place(hand.link_transforms(at.joints), link, local))

    rows = HandMotion(hand, pose, hand.link_transforms(joints, pose.object_from_palm)).along(
        link, place(pose), direction
    )
    assert rows.shape == (3, len(link), count + 6)
    step = 2e-3
    for column in range(count + 6):
        change = torch.zeros(3, count + 6)
        change[:, column] = step
        ahead, behind = place(apply_step(hand, pose, change)), place(apply_step(hand, pose, -change))
        slope = ((ahead - behind) * direction).sum(-1) / (2 * step)
        assert (rows[..., column] - slope).abs().max() < 2e-4, column


def test_steps_stay_inside_the_joint_limits():
    hand = HandModel.load("freedom_v2")
    pose = HandPose(hand.upper[None], torch.eye(3)[None], torch.zeros(1, 3))
    moved = apply_step(hand, pose, torch.ones(1, 13))
    assert torch.equal(moved.joints, hand.upper[None])
    assert torch.equal(moved.translation, torch.ones(1, 3))


def test_rotation_vectors():
    vectors = np.random.default_rng(0).normal(size=(50, 3))
    ours = rotation_exp(torch.tensor(vectors, dtype=torch.float32)).numpy()
    assert np.abs(ours - Rotation.from_rotvec(vectors).as_matrix()).max() < 1e-5
    assert torch.equal(rotation_exp(torch.zeros(1, 3))[0], torch.eye(3))
