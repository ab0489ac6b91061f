"""The contact energy: each term is zero where nothing is wrong, grows where something is, and slopes truly."""

import pytest
import torch
from analytic_fields import ball, box
from held_grasps import held_grasps

from maskdex_core.hands import HandModel
from maskdex_core.refine.energy import ContactEnergy, EnergyTerms, EnergyWeights
from maskdex_core.refine.pose import HandPose

HAND = HandModel.load("shadow")
LINKS = HAND.spec.contact_links


def _flat(count=1, **angles):
    joints = torch.zeros(count, 22)
    for name, angle in angles.items():
        joints[:, HAND.joint_names.index(name)] = angle
    return HandPose(joints, torch.eye(3).expand(count, 3, 3), torch.zeros(count, 3))


def _terms(energy, pose, start=None, active=None):
    count = len(pose)
    active = torch.ones(count, len(LINKS)) if active is None else active
    return energy(pose, start or pose, active, torch.zeros(count, len(LINKS), 3))


def _centers(pose):
    return HAND.place(HAND.link_transforms(pose.joints), HAND.sphere_link, HAND.sphere_center)[0]


@pytest.fixture(scope="module")
def on_can():
    grasp = held_grasps()["can"]
    return ContactEnergy(HAND, grasp.target.sdf, 0.0), grasp.pose


def test_far_hand_touches_nothing():
    energy, pose = ContactEnergy(HAND, ball((0, 0, 1.0), 0.03)), _flat()
    terms = _terms(energy, pose)
    for name in ("penetration", "self_collision", "table", "prior"):
        assert getattr(terms, name).item() == 0, name
    assert energy.penetration(pose).item() == 0 and energy.crowding(pose).item() == 0
    assert energy.contacts(pose).gap.min() > 0.6


def test_palm_inside_the_object_penetrates():
    energy, pose = ContactEnergy(HAND, ball((0.011, 0.0, 0.05), 0.03)), _flat()
    assert energy.penetration(pose).item() > 0.02
    assert energy.crowding(pose).item() > energy.penetration(pose).item()
    assert _terms(energy, pose).penetration.item() > 100


def test_penetration_is_the_depth_of_the_deepest_sphere():
    sphere = int((HAND.sphere_link == HAND.link_index("rh_ffdistal")).nonzero()[-1])
    pose = _flat()
    beyond = _centers(pose)[sphere] + torch.tensor([0, 0, float(HAND.sphere_radius[sphere]) + 0.02 - 0.004])
    energy = ContactEnergy(HAND, ball(beyond.tolist(), 0.02))
    assert energy.penetration(pose).item() == pytest.approx(0.004, abs=3e-4)


@pytest.mark.parametrize("link", ["rh_ffproximal", "rh_mfmiddle", "rh_rfproximal"])
def test_contact_on_the_back_of_a_finger_is_none(link):
    pose = _flat()
    mine = HAND.sphere_link == HAND.link_index(link)
    middle = _centers(pose)[mine].mean(0)
    reach = float(HAND.sphere_radius[mine].max()) + 0.015
    gaps = {}
    for side, name in ((-1.0, "palmar"), (1.0, "back")):
        center = middle + torch.tensor([0.0, side * reach, 0.0])
        gaps[name] = (
            ContactEnergy(HAND, ball(center.tolist(), 0.015)).contacts(pose).gap[0, LINKS.index(link)].item()
        )
    assert gaps["palmar"] == pytest.approx(0, abs=0.0015)
    assert gaps["back"] > 0.02


def test_contacts_lie_on_the_object_and_face_the_hand(on_can):
    energy, pose = on_can
    contacts = energy.contacts(pose)
    touching = contacts.gap[0] < 0.003
    stored = [LINKS.index(link) for link in held_grasps()["can"].contact_links]
    assert touching.nonzero().flatten().tolist() == sorted(stored)
    distance, normal = held_grasps()["can"].target.sdf.query(contacts.point[touching[None]])
    assert distance.abs().max() < 5e-4
    assert (normal * contacts.normal[touching[None]]).sum(-1).min() > 0.9
    thumb = contacts.normal[0, LINKS.index("rh_thdistal")]
    assert (thumb * contacts.normal[0, LINKS.index("rh_ffdistal")]).sum() < 0  # they oppose each other


def test_self_collision_counts_crossing_fingers_only():
    energy = ContactEnergy(HAND, ball((0, 0, 1.0), 0.03))
    apart, crossed = _flat(FFJ4=-0.34), _flat(FFJ4=0.34)
    assert _terms(energy, apart).self_collision.item() == 0
    assert _terms(energy, crossed).self_collision.item() > 1
    # A finger bent on itself does not collide with itself.
    assert _terms(energy, _flat(FFJ3=1.5, FFJ2=1.5, FFJ1=1.5)).self_collision.item() == 0


def test_table_is_felt_from_above_only_when_there_is_one():
    pose = _flat()
    lowest = HAND.surface_points(pose.joints)[0, :, 2].min().item()
    for table, expected in ((lowest - 0.01, False), (lowest + 0.02, True)):
        terms = _terms(ContactEnergy(HAND, ball((0, 0, 1.0), 0.03), table), pose)
        assert (terms.table.item() > 1) == expected
    assert _terms(ContactEnergy(HAND, ball((0, 0, 1.0), 0.03)), pose).table.item() == 0


def test_gap_is_least_in_contact_and_counts_active_links_only(on_can):
    energy, pose = on_can
    touching = (energy.contacts(pose).gap < 0.003).float()
    lifted = HandPose(
        pose.joints, pose.rotation, pose.translation + pose.rotation @ torch.tensor([0.0, 0.01, 0.0])
    )
    assert _terms(energy, pose, active=touching).gap < 0.5 * _terms(energy, lifted, active=touching).gap
    nothing = torch.zeros(1, len(LINKS))
    assert _terms(energy, lifted, active=nothing).gap.item() == 0


def test_prior_grows_with_the_distance_from_the_start(on_can):
    energy, pose = on_can
    near = HandPose(pose.joints + 0.02, pose.rotation, pose.translation + 0.001)
    far = HandPose(pose.joints + 0.04, pose.rotation, pose.translation + 0.002)
    ratio = _terms(energy, far, start=pose).prior / _terms(energy, near, start=pose).prior
    assert ratio.item() == pytest.approx(4, rel=1e-3)


def _least_wrench(energy, pose, active):
    force = torch.zeros(1, len(LINKS), 3, requires_grad=True)
    optimizer = torch.optim.Adam([force], lr=0.1)
    for _ in range(40):
        optimizer.zero_grad()
        wrench = energy(pose, pose, active, force).wrench.sum()
        wrench.backward()
        optimizer.step()
    return wrench.item()


def test_wrench_vanishes_for_opposed_contacts_only():
    # A plate between thumb and index finger pads of a pinching hand.
    pose = held_grasps()["carton"].pose
    energy = ContactEnergy(HAND, held_grasps()["carton"].target.sdf)
    both = torch.zeros(1, len(LINKS))
    both[0, [LINKS.index("rh_thdistal"), LINKS.index("rh_ffdistal")]] = 1
    one_side = torch.zeros(1, len(LINKS))
    one_side[0, LINKS.index("rh_ffdistal")] = 1
    assert _least_wrench(energy, pose, both) < 0.05
    assert _least_wrench(energy, pose, one_side) > 0.5


def test_total_weighs_each_term():
    terms = EnergyTerms(*(torch.tensor([10.0**i]) for i in range(6)))
    weights = EnergyWeights(gap=1, penetration=2, wrench=3, self_collision=4, table=5, prior=6)
    assert terms.total(weights).item() == 654321


@pytest.mark.parametrize("seed", range(3))
def test_slopes_equal_finite_differences(on_can, seed):
    energy, held = on_can
    generator = torch.Generator().manual_seed(seed)
    joints = HAND.clamp(held.joints + 0.1 * torch.randn(1, 22, generator=generator))
    place = held.translation + 0.004 * torch.randn(1, 3, generator=generator)
    active = torch.ones(1, len(LINKS))
    # The wrench's lever point is held fixed on purpose, so its slope is another one.
    weights = EnergyWeights(wrench=0.0)

    def cost(q, t):
        pose = HandPose(q, held.rotation, t)
        return energy(pose, held, active, torch.zeros(1, len(LINKS), 3)).total(weights).sum()

    q, t = joints.clone().requires_grad_(), place.clone().requires_grad_()
    cost(q, t).backward()
    for scale, variable, slope in ((1.0, 0, q.grad), (0.05, 1, t.grad)):
        agreed = 0
        for _ in range(8):
            way = scale * torch.randn(slope.shape, generator=generator)
            way[0, : (8 if variable == 0 else 0)] = 0  # idle fingers
            step = 2e-4
            ends = [(q.detach(), t.detach()), (q.detach(), t.detach())]
            moved = [tuple(v + s * step * way if i == variable else v for i, v in enumerate(end))
                     for s, end in zip((1, -1), ends, strict=True)]  # fmt: skip
            with torch.no_grad():
                measured = (cost(*moved[0]) - cost(*moved[1])).item() / (2 * step)
            expected = (slope * way).sum().item()
            agreed += (
                abs(measured - expected) < 0.05 * abs(expected) + 0.02 * (slope.norm() * way.norm()).item()
            )
        assert agreed >= 7  # one may straddle a kink


def test_a_box_between_two_plates_of_the_field():
    """Distance and facing come from the field: the flat hand over a box touches with its whole palm side."""
    pose = _flat()
    palmar = HAND.surface_points(pose.joints)[0][:, 1].min().item()
    energy = ContactEnergy(HAND, box((0.0, palmar - 0.03, 0.1), (0.1, 0.03, 0.1)))
    assert energy.penetration(pose).item() < 5e-4
    gap = energy.contacts(pose).gap[0]
    fingers = [LINKS.index(f"rh_{finger}proximal") for finger in ("ff", "mf", "rf")]
    assert gap[fingers].max() < 0.02 and gap.min() < 0.005
