"""How a hand lies on an object: gaps, contact points, penetration and crowding."""

import pytest
import torch
from analytic_fields import ball, box
from held_grasps import held_grasps

from maskdex_core.hands import HandModel
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.refine.pose import HandPose

HAND = HandModel.load("shadow")
LINKS = HAND.spec.contact_links


def _flat():
    return HandPose(torch.zeros(1, 22), torch.eye(3)[None], torch.zeros(1, 3))


def _centers(pose):
    return HAND.place(HAND.link_transforms(pose.joints), HAND.sphere_link, HAND.sphere_center)[0]


@pytest.fixture(scope="module")
def on_can():
    grasp = held_grasps()["can"]
    return HandOnObject(HAND, grasp.target.sdf, 0.0), grasp.pose


def test_far_hand_touches_nothing():
    scene, pose = HandOnObject(HAND, ball((0, 0, 1.0), 0.03)), _flat()
    assert scene.penetration(pose).item() == 0 and scene.crowding(pose).item() == 0
    assert scene.contacts(pose).gap.min() > 0.6


def test_palm_inside_the_object_penetrates():
    scene, pose = HandOnObject(HAND, ball((0.011, 0.0, 0.05), 0.03)), _flat()
    assert scene.penetration(pose).item() > 0.02
    assert scene.crowding(pose).item() > scene.penetration(pose).item()


def test_penetration_is_the_depth_of_the_deepest_sphere():
    sphere = int((HAND.sphere_link == HAND.link_index("rh_ffdistal")).nonzero()[-1])
    pose = _flat()
    beyond = _centers(pose)[sphere] + torch.tensor([0, 0, float(HAND.sphere_radius[sphere]) + 0.02 - 0.004])
    scene = HandOnObject(HAND, ball(beyond.tolist(), 0.02))
    assert scene.penetration(pose).item() == pytest.approx(0.004, abs=3e-4)


@pytest.mark.parametrize("link", ["rh_ffproximal", "rh_mfmiddle", "rh_rfproximal"])
def test_contact_on_the_back_of_a_finger_is_none(link):
    pose = _flat()
    mine = HAND.sphere_link == HAND.link_index(link)
    middle = _centers(pose)[mine].mean(0)
    reach = float(HAND.sphere_radius[mine].max()) + 0.015
    gaps = {}
    for side, name in ((-1.0, "palmar"), (1.0, "back")):
        center = middle + torch.tensor([0.0, side * reach, 0.0])
        gaps[name] = HandOnObject(HAND, ball(center.tolist(), 0.015)).contacts(pose).gap[0, LINKS.index(link)].item()
    assert gaps["palmar"] == pytest.approx(0, abs=0.0015)
    assert gaps["back"] > 0.02


def test_contacts_lie_on_the_object_and_face_the_hand(on_can):
    scene, pose = on_can
    contacts = scene.contacts(pose)
    touching = contacts.gap[0] < 0.003
    stored = [LINKS.index(link) for link in held_grasps()["can"].contact_links]
    assert touching.nonzero().flatten().tolist() == sorted(stored)
    distance, normal = held_grasps()["can"].target.sdf.query(contacts.point[touching[None]])
    assert distance.abs().max() < 5e-4
    assert (normal * contacts.normal[touching[None]]).sum(-1).min() > 0.9
    thumb = contacts.normal[0, LINKS.index("rh_thdistal")]
    assert (thumb * contacts.normal[0, LINKS.index("rh_ffdistal")]).sum() < 0  # they oppose each other


def test_the_table_crowds_only_when_there_is_one():
    pose = _flat()
    lowest = HAND.surface_points(pose.joints)[0, :, 2].min().item()
    far = ball((0, 0, 1.0), 0.03)
    assert HandOnObject(HAND, far, lowest - 0.001).crowding(pose).item() == 0
    assert HandOnObject(HAND, far, lowest + 0.02).crowding(pose).item() > 0.02
    assert HandOnObject(HAND, far).crowding(pose).item() == 0


def test_a_flat_hand_on_a_box_touches_with_its_fingers():
    pose = _flat()
    palmar = HAND.surface_points(pose.joints)[0][:, 1].min().item()
    scene = HandOnObject(HAND, box((0.0, palmar - 0.03, 0.1), (0.1, 0.03, 0.1)))
    assert scene.penetration(pose).item() < 5e-4
    gap = scene.contacts(pose).gap[0]
    fingers = [LINKS.index(f"rh_{finger}proximal") for finger in ("ff", "mf", "rf")]
    assert gap[fingers].max() < 0.02 and gap.min() < 0.005
