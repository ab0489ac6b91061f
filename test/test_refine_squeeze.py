"""The closing: forces that balance become motor targets that press inward; the pre-grasp opens."""

import numpy as np
import pytest
import torch
from held_grasps import held_grasps
from scipy.optimize import nnls

from maskdex_core.hands import HandModel
from maskdex_core.hands.jacobian import point_jacobian
from maskdex_core.refine.contacts import Contacts, HandOnObject
from maskdex_core.refine.pose import HandPose
from maskdex_core.refine.squeeze import SqueezeConfig, flex_closing, solve_closing, spread

HAND = HandModel.load("shadow")
LINKS = HAND.spec.contact_links


class StubScene:
    """Contacts as told, whatever the pose."""

    hand = HAND

    def __init__(self, contacts):
        self._contacts = contacts

    def contacts(self, pose):
        return self._contacts


def _pinch(normals=None, gap=0.0, count=2):
    """A posture whose thumb and index touch a thing between their tips, along the line between them."""
    joints = torch.zeros(1, 22)
    posture = {"THJ4": 1.2, "THJ5": 0.3, "THJ1": 0.4, "FFJ3": 0.9, "FFJ2": 0.7, "FFJ1": 0.3}
    for name, angle in posture.items():
        joints[0, HAND.joint_names.index(name)] = angle
    tips = HAND.tip_points(joints)[0]
    thumb, index = tips[0], tips[1]
    way = torch.nn.functional.normalize(index - thumb, dim=0)
    points, normal, gaps = torch.zeros(1, 15, 3), torch.zeros(1, 15, 3), torch.full((1, 15), 0.05)
    normal[..., 2] = 1.0
    outward = normals or (-way, way)  # of the object, whose surface each tip touches from outside
    for link, tip, n in zip(("rh_thdistal", "rh_ffdistal")[:count], (thumb, index), outward, strict=False):
        row = LINKS.index(link)
        points[0, row], normal[0, row], gaps[0, row] = tip, n, gap
    pose = HandPose(joints, torch.eye(3)[None], torch.zeros(1, 3))
    return pose, Contacts(gaps, points, normal, torch.zeros(1, 15, dtype=torch.long))


def _motion(pose, contacts, change):
    """How far (C,) the contact points go inward for a small change of the joints."""
    jacobian = point_jacobian(HAND, pose.joints, HAND.contact_link_index, contacts.point)
    return -((jacobian @ change[0])[0] * contacts.normal[0]).sum(-1)


def test_two_opposed_contacts_balance_and_push_with_half_the_force_each():
    pose, contacts = _pinch()
    closing = solve_closing(StubScene(contacts), pose, SqueezeConfig(total_force=20.0, stiffness=5.0))
    assert closing.residual.item() < 0.02
    jacobian = point_jacobian(HAND, pose.joints, HAND.contact_link_index, contacts.point)
    force = torch.zeros(1, 15, 3)
    for link in ("rh_thdistal", "rh_ffdistal"):
        force[0, LINKS.index(link)] = -10.0 * contacts.normal[0, LINKS.index(link)]
    expected = torch.einsum("bcx,bcxj->bj", force, jacobian) / 5.0
    assert (closing.squeeze - pose.joints - expected).abs().max() < 0.02 * expected.abs().max()


def test_the_squeeze_presses_inward():
    pose, contacts = _pinch()
    closing = solve_closing(StubScene(contacts), pose)
    inward = _motion(pose, contacts, closing.squeeze - pose.joints)
    for link in ("rh_thdistal", "rh_ffdistal"):
        assert inward[LINKS.index(link)] > 0.005, link
    # Joints of fingers that do not touch stay.
    idle = [i for i, name in enumerate(HAND.joint_names) if name[:2] in ("MF", "RF", "LF")]
    assert (closing.squeeze - pose.joints)[0, idle].abs().max() == 0


def test_the_pregrasp_opens_by_the_distance_asked_for():
    for gap, opening in ((0.0, 0.008), (0.003, 0.008), (0.0, 0.004)):
        pose, contacts = _pinch(gap=gap)
        closing = solve_closing(StubScene(contacts), pose, SqueezeConfig(opening=opening))
        outward = -_motion(pose, contacts, closing.pregrasp - pose.joints)
        for link in ("rh_thdistal", "rh_ffdistal"):
            # To first order, with a little damping; joint limits may take some.
            assert outward[LINKS.index(link)].item() == pytest.approx(opening - gap, rel=0.25), link


def test_contacts_on_one_side_cannot_balance():
    way = torch.tensor([0.0, 0.0, 1.0])
    pose, contacts = _pinch(normals=(way, way))
    assert solve_closing(StubScene(contacts), pose).residual.item() > 0.8


@pytest.mark.parametrize(("gap", "count"), [(0.0, 1), (0.02, 2)])
def test_without_two_contacts_there_is_no_force(gap, count):
    pose, contacts = _pinch(gap=gap, count=count)
    closing = solve_closing(StubScene(contacts), pose)
    assert closing.residual.item() == 1.0
    assert torch.equal(closing.squeeze, pose.joints)


def test_a_finger_that_cannot_press_carries_no_force():
    pose, contacts = _pinch()
    jacobian = point_jacobian(HAND, pose.joints, HAND.contact_link_index, contacts.point)
    lever = torch.einsum("cx,cxj->cj", contacts.normal[0], jacobian[0]).norm(dim=-1)
    of_thumb, of_index = (lever[LINKS.index(link)].item() for link in ("rh_thdistal", "rh_ffdistal"))
    for least, residual in ((0.9 * min(of_thumb, of_index), 0.0), (1.1 * min(of_thumb, of_index), 1.0)):
        closing = solve_closing(StubScene(contacts), pose, SqueezeConfig(least_lever=least))
        assert closing.residual.item() == pytest.approx(residual, abs=0.02)
        assert torch.equal(closing.squeeze, pose.joints) == (residual == 1.0)


def test_the_palm_carries_what_a_finger_presses_against_it():
    pose, contacts = _pinch(count=1)
    palm, thumb = LINKS.index("rh_palm"), LINKS.index("rh_thdistal")
    contacts.gap[0, palm], contacts.normal[0, palm] = 0.0, -contacts.normal[0, thumb]
    contacts.point[0, palm] = contacts.point[0, thumb] - 0.05 * contacts.normal[0, thumb]
    closing = solve_closing(StubScene(contacts), pose, SqueezeConfig(least_lever=0.03))
    assert closing.residual.item() < 0.02
    assert _motion(pose, contacts, closing.squeeze - pose.joints)[thumb] > 0.005


def test_the_squeeze_does_not_depend_on_the_objects_frame():
    pose, contacts = _pinch()
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))[0]
    turn = turn * torch.linalg.det(turn)
    shift = torch.tensor([0.2, -0.3, 0.1])
    moved = Contacts(contacts.gap, contacts.point @ turn.T + shift, contacts.normal @ turn.T, contacts.sphere)
    there = HandPose(pose.joints, turn[None], shift[None])
    here = solve_closing(StubScene(contacts), pose)
    other = solve_closing(StubScene(moved), there)
    # The cone's edges turn with the frame, so the split differs a little.
    assert (here.squeeze - other.squeeze).abs().max() < 0.02
    assert (here.pregrasp - other.pregrasp).abs().max() < 1e-4


@pytest.fixture(scope="module")
def held():
    """(scene, pose, which links touch) of four stored grasps."""
    found = []
    for family in ("can", "carton", "knife", "screwdriver"):
        grasp = held_grasps()[family]
        scene = HandOnObject(HAND, grasp.target.sdf, 0.0)
        found.append((scene, grasp.pose, scene.contacts(grasp.pose).gap[0] < 0.003))
    return found


def test_held_grasps_balance(held):
    for scene, pose, touching in held:
        assert touching.sum() >= 2
        assert solve_closing(scene, pose).residual.item() < 0.2


def test_the_pregrasp_clears_held_objects(held):
    opened = []
    for scene, pose, touching in held:
        pregrasp = solve_closing(scene, pose).pregrasp
        assert (pregrasp >= HAND.lower).all() and (pregrasp <= HAND.upper).all()
        after = scene.contacts(HandPose(pregrasp, pose.rotation, pose.translation)).gap[0]
        opened.append((after - scene.contacts(pose).gap[0])[touching])
        assert opened[-1].median() >= 0.002
    assert torch.cat(opened).median() >= 0.004  # m


def test_both_squeezes_press_held_objects(held):
    for scene, pose, touching in held:
        contacts = scene.contacts(pose)
        point = (contacts.point - pose.translation[:, None]) @ pose.rotation
        local = Contacts(contacts.gap, point, contacts.normal @ pose.rotation, contacts.sphere)
        for squeeze in (solve_closing(scene, pose).squeeze, flex_closing(scene, pose, 0.1)):
            inward = _motion(pose, local, squeeze - pose.joints)[touching]
            assert inward.sum() > 0.005 and inward.min() > -0.002


@pytest.mark.parametrize("seed", range(5))
def test_the_spread_is_the_least_squares_answer(seed):
    rng = np.random.default_rng(seed)
    columns, target = rng.normal(size=(20, 40, 7)), rng.normal(size=7)
    columns[:, 30:] = 0.0  # contacts that carry nothing
    found = spread(columns, target, 0.05)
    for row, shares in zip(columns, found, strict=True):
        system = np.concatenate([row.T, 0.05 * np.eye(40)])
        expected, _ = nnls(system, np.concatenate([target, np.zeros(40)]))
        assert np.abs(shares - expected).max() < 1e-8
