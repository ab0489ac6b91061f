"""Every shipped hand against the facts about it: kinematics, limits, parts, mount, inertia, what moves where."""

import numpy as np
import pytest
import torch
from robot_tables import table, walk

from maskdex_core.hands import HandModel, known_hands
from maskdex_core.hands.mount import SUNK, palm_depth
from maskdex_core.hands.spec import PART_NAMES
from maskdex_core.motion.arm import Arm
from maskdex_core.motion.collision import CollisionModel, World
from maskdex_core.motion.hand import hand_spheres
from maskdex_core.resources import resource_path

torch.set_num_threads(1)
HANDS = known_hands()
# Fact table, prefix of its names, and movable joints: all and driven.
FACTS = {
    "ability": ("ability_right", "", 10, 6),
    "allegro": ("allegro_right", "", 16, 16),
    "freedom_v1": ("freedom_v1_right", "", 11, 6),
    "freedom_v2": ("freedom_v2_right", "", 12, 7),
    "leap": ("leap_right", "", 16, 16),
    "shadow": ("shadow_menagerie", "rh_", 22, 22),
    "shadow_coupled": ("shadow_menagerie", "rh_", 22, 18),
}
FOUR_FINGERED = ("allegro", "leap")
# A joint that bends each finger, thumb to little.
FLEXION = {
    "ability": ("thumb_q2", "index_q1", "middle_q1", "ring_q1", "pinky_q1"),
    "allegro": ("joint_15.0", "joint_3.0", "joint_7.0", "joint_11.0"),
    "freedom_v1": ("thumb_joint2", "index_joint", "middle_joint", "ring_joint", "pinky_joint"),
    "freedom_v2": ("thumb_joint3", "index_joint", "middle_joint", "ring_joint", "pinky_joint"),
    "leap": ("15", "3", "7", "11"),
    "shadow": ("THJ1", "FFJ1", "MFJ1", "RFJ1", "LFJ1"),
    "shadow_coupled": ("THJ1", "FFJ2", "MFJ2", "RFJ2", "LFJ2"),
}


def _random_joints(hand, count):
    fraction = torch.rand(count, len(hand.joint_names), generator=torch.Generator().manual_seed(0)).double()
    return hand.lower + fraction * (hand.upper - hand.lower)


def _joint_facts(name):
    return {joint["name"].removeprefix(FACTS[name][1]): joint for joint in table(FACTS[name][0])["joints"]}


def test_every_hand_is_checked_here():
    assert set(FACTS) == set(FLEXION) == set(HANDS)


@pytest.mark.parametrize("name", HANDS)
def test_kinematics_equal_the_fact_table(name):
    hand, (_, prefix, total, driven) = HandModel.load(name), FACTS[name]
    facts = table(FACTS[name][0])
    assert (len(hand.all_joint_names), len(hand.joint_names)) == (total, driven)
    joints = _random_joints(hand, 50)
    ours, everything = hand.link_transforms(joints).numpy(), hand.expand_mimic(joints).tolist()
    for row, angles in enumerate(everything):
        named = {prefix + joint: angle for joint, angle in zip(hand.all_joint_names, angles, strict=True)}
        truth = walk(facts, hand.spec.root, named)
        expected = np.stack([truth[link] for link in hand.link_names])
        assert np.abs(ours[row] - expected).max() < 2e-6, row


@pytest.mark.parametrize("name", HANDS)
def test_limits_and_mimics_equal_the_fact_table(name):
    hand, facts = HandModel.load(name), _joint_facts(name)
    for joint in hand.all_joint_names:
        ours, theirs = hand.urdf.joints[joint], facts[joint]
        assert (ours.lower, ours.upper) == pytest.approx((theirs["lower"], theirs["upper"]), abs=1e-6), joint
        mimic = theirs["mimic"]
        expected = (mimic["joint"], mimic["multiplier"], mimic["offset"]) if mimic else None
        assert ours.mimic == expected, joint
    for end in (hand.lower, hand.upper):
        angles = hand.expand_mimic(end[None].double())[0].tolist()
        for joint, angle in zip(hand.all_joint_names, angles, strict=True):
            assert facts[joint]["lower"] - 1e-5 <= angle <= facts[joint]["upper"] + 1e-5, joint


@pytest.mark.parametrize("name", HANDS)
def test_efforts_and_speeds_are_those_of_a_hand(name):
    for joint in HandModel.load(name).all_joint_names:
        facts = HandModel.load(name).urdf.joints[joint]
        assert 0.1 <= facts.effort <= 5 and 0.5 <= facts.velocity <= 10, joint  # N m, rad/s


@pytest.mark.parametrize("name", HANDS)
def test_parts_cover_the_hand(name):
    hand = HandModel.load(name)
    named = [link for links in hand.spec.parts.values() for link in links]
    assert len(named) == len(set(named))  # each in one part
    assert {link for link in hand.link_names if hand.urdf.links[link].shapes} <= set(named)
    assert set(hand.spec.parts) == {"palm", *hand.spec.tips}
    lacking = {"little"} if name in FOUR_FINGERED else set()
    assert set(PART_NAMES) - set(hand.spec.parts) == lacking == set(hand.spec.missing)
    for finger, tip in hand.spec.tips.items():
        assert tip["link"] in hand.spec.parts[finger] and tip["link"] in hand.spec.contact_links
        assert hand.link_moved_by[hand.link_index(tip["link"])].any(), finger
    palm = [hand.link_index(link) for link in hand.spec.parts["palm"]]
    assert not hand.link_moved_by[palm].any()


@pytest.mark.parametrize("name", HANDS)
def test_fingertips_lie_on_the_skin_or_just_below_it(name):
    hand = HandModel.load(name)
    for link, point in zip(*hand.tips, strict=True):
        shapes = hand.urdf.links[hand.link_names[link]].shapes
        depth = min(float(shape.signed_distance(point.double().numpy()[None])[0]) for shape in shapes)
        assert -0.009 < depth < 0.001, hand.link_names[link]  # m


@pytest.mark.parametrize("name", HANDS)
def test_bending_a_finger_moves_its_tip_to_its_palmar_side(name):
    hand = HandModel.load(name)
    joints = (0.7 * hand.lower + 0.3 * hand.upper)[None].double()
    for finger, joint in zip(hand.finger_names, FLEXION[name], strict=True):
        link, row = hand.link_index(hand.spec.tips[finger]["link"]), hand.finger_names.index(finger)
        bent = joints.clone()
        bent[0, hand.joint_names.index(joint)] += 1e-3
        way = torch.nn.functional.normalize((hand.tip_points(bent) - hand.tip_points(joints))[0, row], dim=0)
        palmar = hand.link_transforms(joints)[0, link, :3, :3] @ hand.link_palmar[link].double()
        assert way @ palmar > 0.75, finger


@pytest.mark.parametrize("name", HANDS)
def test_straight_fingers_point_where_the_yaml_says_and_close_over_the_palm(name):
    hand = HandModel.load(name)
    along = torch.tensor(hand.spec.fingers, dtype=torch.float32)
    palmar = hand.link_palmar[hand.link_index(hand.spec.root)]
    assert abs(float(along @ palmar)) < 1e-6
    opened, closed = (hand.lower * (1 - f) + hand.upper * f for f in (0.3, 0.7))
    opened, closed = hand.tip_points(opened[None])[0, 1:], hand.tip_points(closed[None])[0, 1:]
    assert (hand.tip_points(hand.clamp(torch.zeros(1, len(hand.joint_names))))[0, 1:] @ along > 0.1).all()
    assert ((closed - opened) @ along < 0).all() and (closed @ palmar > 0).all()


@pytest.mark.parametrize("name", HANDS)
def test_inertias_are_those_of_bodies(name):
    hand = HandModel.load(name)
    total = sum(link.mass for link in hand.urdf.links.values())
    assert 0.3 < total < 1.2  # kg
    for link in hand.urdf.links.values():
        assert bool(link.shapes) <= (link.mass > 0), link.name
        if link.mass > 0:
            moments = np.linalg.eigvalsh(link.inertia)
            assert moments[0] > 0 and moments[2] <= (moments[0] + moments[1]) * (1 + 1e-6), link.name
            assert np.sqrt(moments[2] / link.mass) < 0.08, link.name  # radius of gyration, m


@pytest.mark.parametrize("name", HANDS)
def test_the_mount_clears_the_arm(name):
    hand = HandModel.load(name)
    assert palm_depth(hand)[0] <= SUNK
    arm = Arm.load("xarm7")
    model = CollisionModel(arm, World(np.array([[0.5, 0, 0.02]]), 0.0, hand_spheres(hand)))
    postures = torch.stack([hand.clamp(torch.zeros_like(hand.lower)), (hand.lower + hand.upper) / 2]).double().numpy()
    gap = model.hand_arm(model.pose(np.repeat(arm.home[None], 2, 0), postures)).distance
    assert gap.min() > 0.01  # m


@pytest.mark.parametrize("name", HANDS)
def test_an_open_hand_does_not_touch_itself(name):
    mujoco = pytest.importorskip("mujoco")
    from maskdex_core.physics.hand_mjcf import hand_actuators, hand_bodies, hand_equalities, hand_exclusions

    hand = HandModel.load(name)
    model = mujoco.MjModel.from_xml_string(
        '<mujoco><compiler angle="radian" balanceinertia="true"/><default><default class="hand"><geom contype="1"/>'
        f"</default></default><worldbody>{hand_bodies(hand)}</worldbody><contact>{hand_exclusions(hand)}</contact>"
        f"<equality>{hand_equalities(hand)}</equality><actuator>{hand_actuators(hand, 5, 3)}</actuator></mujoco>"
    )
    data = mujoco.MjData(model)
    neutral = hand.expand_mimic(hand.clamp(torch.zeros(1, len(hand.joint_names))))[0].tolist()
    for joint, angle in zip(hand.all_joint_names, neutral, strict=True):
        data.qpos[model.joint(joint).qposadr[0]] = angle
    mujoco.mj_forward(model, data)
    assert data.ncon == 0
    assert model.nu == len(hand.joint_names)
    assert model.neq == len(hand.all_joint_names) - len(hand.joint_names)


def test_a_real_shadow_bends_its_outer_joints_together():
    free, coupled = HandModel.load("shadow"), HandModel.load("shadow_coupled")
    assert coupled.all_joint_names == free.joint_names
    everything = coupled.expand_mimic(_random_joints(coupled, 10))
    for finger in ("FF", "MF", "RF", "LF"):
        one, two = (coupled.all_joint_names.index(f"{finger}{joint}") for joint in ("J1", "J2"))
        assert torch.equal(everything[:, one], everything[:, two])
        assert coupled.follower(f"{finger}J1") == (f"{finger}J2", 1.0, 0.0) and coupled.follower(f"{finger}J2") is None
    assert torch.equal(free.link_transforms(everything), coupled.link_transforms(_random_joints(coupled, 10)))


def test_estimates_are_called_so():
    for name in HANDS:
        text = resource_path(HandModel.load(name).spec.urdf).read_text()
        head = text[: text.index("<robot")]
        assert ("<!--" in head and "estimate" in head) or "inertias here are those of the shapes" in head, name
