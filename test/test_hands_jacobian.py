"""The Jacobian of contact points equals finite differences, mimic joints folded in."""

import pytest
import torch

from maskdex_core.hands import HandModel
from maskdex_core.hands.jacobian import point_jacobian


def _setup(name, count=4):
    hand = HandModel.load(name)
    generator = torch.Generator().manual_seed(1)
    fraction = torch.rand(count, len(hand.joint_names), generator=generator, dtype=torch.float64)
    joints = hand.lower.double() + fraction * (hand.upper - hand.lower).double()
    link = hand.contact_link_index
    local = 0.02 * torch.randn(len(link), 3, generator=generator, dtype=torch.float64)
    return hand, joints, link, local


@pytest.mark.parametrize("name", ["shadow", "freedom_v2"])
def test_equals_finite_differences(name):
    hand, joints, link, local = _setup(name)

    def place(angles):
        return hand.place(hand.link_transforms(angles), link, local)

    jacobian = point_jacobian(hand, joints, link, place(joints))
    step = 1e-5
    for column in range(len(hand.joint_names)):
        shift = torch.zeros_like(joints)
        shift[:, column] = step
        slope = (place(joints + shift) - place(joints - shift)) / (2 * step)
        assert (jacobian[..., column] - slope).abs().max() < 1e-6, hand.joint_names[column]


def test_points_ride_on_their_link_only():
    hand, joints, _, _ = _setup("shadow")
    links = torch.tensor([hand.link_index("rh_palm"), hand.link_index("rh_ffmiddle")])
    jacobian = point_jacobian(hand, joints, links, torch.rand(len(joints), 2, 3, dtype=torch.float64))
    assert jacobian[:, 0].abs().max() == 0
    moves = {name for i, name in enumerate(hand.joint_names) if jacobian[:, 1, :, i].abs().max() > 0}
    assert moves == {"FFJ4", "FFJ3", "FFJ2"}


def test_links_may_differ_by_row():
    hand, joints, link, local = _setup("freedom_v2", count=2)
    points = hand.place(hand.link_transforms(joints), link, local)
    mixed = torch.stack([link, link.flip(0)])
    both = point_jacobian(hand, joints, mixed, points)
    first = point_jacobian(hand, joints[:1], link, points[:1])
    second = point_jacobian(hand, joints[1:], link.flip(0), points[1:])
    assert torch.equal(both, torch.cat([first, second]))


def test_mimic_joints_add_to_their_driver():
    hand = HandModel.load("freedom_v2")
    joints = torch.full((1, 7), 0.3, dtype=torch.float64)
    tip = torch.tensor([hand.link_index("f_link2_3")])
    point = hand.place(hand.link_transforms(joints), tip, torch.tensor([[0.03, 0.0, 0.0]]).double())
    column = hand.joint_names.index("index_joint")
    moved = point_jacobian(hand, joints, tip, point)[0, 0, :, column]
    poses = hand.link_transforms(joints)[0]
    turn = torch.zeros(3, dtype=torch.float64)
    for joint, gain in (("index_joint", 1.0), ("index_dip", 0.8625)):
        frame = poses[hand.link_index(hand.urdf.joints[joint].child)]
        axis = frame[:3, :3] @ torch.tensor(hand.urdf.joints[joint].axis)
        turn += gain * torch.linalg.cross(axis, point[0, 0] - frame[:3, 3])
    assert torch.allclose(moved, turn, atol=1e-6)
