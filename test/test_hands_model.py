"""Hand models: fingertips, points on the skin, spheres; wrong descriptions named. Facts: test_hands_known.py."""

import numpy as np
import pytest
import torch

from maskdex_core.errors import HandError
from maskdex_core.hands import HandModel, known_hands
from maskdex_core.resources import resource_path

HANDS = ("shadow", "freedom_v2")
# Fingertips (mm, palm frame; thumb to little) at the limits' fractions 0, 0.3 and 0.8, by the fact tables.
GOLDEN_TIPS = {
    "shadow": {
        0.0: [[98.842, 32.93, 73.627], [64.715, 24.847, 182.137], [42.715, 24.847, 186.137],
              [-42.715, 24.847, 182.137], [-64.715, 24.847, 173.637]],
        0.3: [[112.779, -32.379, 79.511], [42.737, -54.498, 164.279], [20.737, -54.498, 168.279],
              [-20.737, -54.498, 164.279], [-30.381, -72.94, 147.128]],
        0.8: [[11.326, -30.345, 99.447], [38.22, -43.583, 70.441], [16.22, -43.583, 74.441],
              [-16.22, -43.583, 70.441], [-12.867, -51.674, 44.188]],
    },
    "freedom_v2": {
        0.0: [[95.806, 114.844, 108.934], [17.589, 30.775, 210.245], [17.589, 8.725, 211.92],
              [17.589, -13.275, 210.197], [17.589, -35.272, 201.966]],
        0.3: [[97.782, 80.565, 134.668], [58.384, 30.772, 181.42], [58.384, 8.723, 183.095],
              [58.384, -13.277, 181.372], [58.385, -35.275, 173.141]],
        0.8: [[44.541, 26.153, 169.264], [60.36, 30.768, 107.791], [60.36, 8.718, 109.466],
              [60.36, -13.282, 107.743], [60.36, -35.279, 99.512]],
    },
}  # fmt: skip


def _random_joints(hand, count, seed=0):
    fraction = torch.rand(count, len(hand.joint_names), generator=torch.Generator().manual_seed(seed))
    return hand.lower + fraction * (hand.upper - hand.lower)


@pytest.mark.parametrize("name", HANDS)
@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.8])
def test_fingertips_are_where_the_maker_says(name, fraction):
    hand = HandModel.load(name)
    joints = (hand.lower + fraction * (hand.upper - hand.lower))[None]
    tips = 1e3 * hand.tip_points(joints)[0].numpy()
    assert np.abs(tips - GOLDEN_TIPS[name][fraction]).max() < 0.1  # mm


def test_shadow_limits_without_the_tables():
    hand = HandModel.load("shadow")
    limits = {
        n: (round(float(a), 4), round(float(b), 4))
        for n, a, b in zip(hand.joint_names, hand.lower, hand.upper, strict=True)
    }
    assert len(limits) == 22
    assert limits["FFJ4"] == (-0.3491, 0.3491) and limits["FFJ3"] == (-0.2618, 1.5708)
    assert limits["FFJ1"] == (0.0, 1.5708) and limits["LFJ5"] == (0.0, 0.7854)
    assert limits["THJ5"] == (-1.0472, 1.0472) and limits["THJ1"] == (-0.2618, 1.5708)


def test_outer_phalanges_follow_their_finger():
    hand = HandModel.load("freedom_v2")
    assert len(hand.joint_names) == 7 and len(hand.all_joint_names) == 12
    joints = torch.zeros(1, 7)
    joints[0, hand.joint_names.index("ring_joint")] = 1.0
    joints[0, hand.joint_names.index("thumb_joint3")] = 0.4
    moved = dict(zip(hand.all_joint_names, hand.expand_mimic(joints)[0].tolist(), strict=True))
    assert moved["ring_dip"] == pytest.approx(0.8625) and moved["thumb_dip"] == pytest.approx(0.48)
    assert moved["index_dip"] == 0.0


@pytest.mark.parametrize("name", HANDS)
def test_skin_points_lie_on_the_skin(name):
    hand = HandModel.load(name)
    assert hand.surface_point.shape == (2000, 3)
    counts = torch.bincount(hand.surface_part, minlength=6)
    assert len(counts) == 6 and counts.min() >= 333 and counts.max() <= 335
    for link in hand.surface_link.unique().tolist():
        points = hand.surface_point[hand.surface_link == link].double().numpy()
        shapes = [shape for index, shape in hand.shapes() if index == link]
        distance = np.min([shape.signed_distance(points) for shape in shapes], axis=0)
        assert np.abs(distance).max() < 1e-4, hand.link_names[link]


@pytest.mark.parametrize("name", HANDS)
def test_skin_normals_point_outwards(name):
    hand = HandModel.load(name)
    point, normal = hand.surface_point.double().numpy(), hand.surface_normal.double().numpy()
    assert np.abs(np.linalg.norm(normal, axis=-1) - 1).max() < 1e-5
    inner, outer = [], []
    for link in hand.surface_link.unique().tolist():
        mine = (hand.surface_link == link).numpy()
        shapes = [shape for index, shape in hand.shapes() if index == link]
        for depth, found in ((-1e-4, inner), (1e-4, outer)):
            moved = point[mine] + depth * normal[mine]
            found.append(np.stack([shape.signed_distance(moved) for shape in shapes]).min(0))
    assert np.concatenate(inner).max() < 0
    assert np.concatenate(outer).min() > 0  # a face shared by two shapes is no skin


def test_skin_points_are_the_same_every_time():
    hand = HandModel.load("shadow")
    again = HandModel(hand.spec, hand.urdf)
    assert torch.equal(hand.surface_point, again.surface_point)
    assert torch.equal(hand.surface_link, again.surface_link)
    assert torch.equal(hand.surface_palmar, again.surface_palmar)


def _mean_palmar_normal(hand, joints, link):
    chosen = (hand.surface_link == hand.link_index(link)) & hand.surface_palmar
    rotation = hand.link_transforms(joints)[0, hand.link_index(link), :3, :3]
    mean = (hand.surface_normal[chosen] @ rotation.T).mean(0)
    return mean / mean.norm()


def test_the_shadow_palm_and_flat_fingers_face_minus_y():
    hand = HandModel.load("shadow")
    flat = torch.zeros(1, 22)
    for link in ("rh_palm", "rh_ffproximal", "rh_mfmiddle", "rh_rfdistal", "rh_lfdistal"):
        assert _mean_palmar_normal(hand, flat, link)[1] < -0.95, link


def test_closing_turns_the_palmar_side_toward_the_palm():
    hand = HandModel.load("shadow")
    bent, closed = torch.zeros(1, 22), torch.zeros(1, 22)
    bent[0, hand.joint_names.index("FFJ3")] = np.pi / 2
    closed[0, [hand.joint_names.index(name) for name in ("FFJ3", "FFJ2")]] = np.pi / 2
    # Bent by 90 degrees the finger points away from the palm and its pad looks to the wrist (-z).
    assert _mean_palmar_normal(hand, bent, "rh_ffproximal")[2] < -0.95
    assert _mean_palmar_normal(hand, closed, "rh_ffdistal")[1] > 0.95  # by 180: it looks at the palm


@pytest.mark.parametrize("name", HANDS)
def test_spheres_lie_inside_the_shapes(name):
    hand = HandModel.load(name)
    for link in hand.sphere_link.unique().tolist():
        mine = hand.sphere_link == link
        centers, radii = hand.sphere_center[mine].double().numpy(), hand.sphere_radius[mine].double().numpy()
        shapes = [shape for index, shape in hand.shapes() if index == link]
        depth = -np.stack([shape.signed_distance(centers) for shape in shapes]).min(0)
        assert (depth >= radii - 1e-6).all(), hand.link_names[link]


def test_double_precision_and_batches_agree_with_single():
    hand = HandModel.load("shadow")
    joints = _random_joints(hand, 8, seed=5)
    single = torch.cat([hand.surface_points(row[None]) for row in joints])
    assert (hand.surface_points(joints) - single).abs().max() < 1e-6
    assert (hand.surface_points(joints.double()) - single.double()).abs().max() < 1e-6
    picked = torch.tensor([3, 77, 1999])
    assert (hand.surface_points(joints, picked) - single[:, picked]).abs().max() < 1e-6


# ------------------------------------------------------------------ descriptions that are wrong
PALM_SHAPE = """<collision>
      <origin xyz="-0.004 -0.003 0.055" rpy="0 0 0"/>
      <geometry><box size="0.026 0.078 0.094"/></geometry>
    </collision>"""


FIRST_LIMIT = '<limit lower="-0.4363" upper="0.43663" velocity="1.5" effort="1"/>'


def _variant(tmp_path, yaml_edit=None, urdf_edit=None):
    """Write a copy of freedom_v2 with texts replaced, and return its YAML's path."""
    urdf = resource_path("urdf/freedom_v2.urdf").read_text()
    yaml = resource_path("config/hands/freedom_v2.yaml").read_text()
    for text, edits in (("urdf", urdf_edit or {}), ("yaml", yaml_edit or {})):
        for old, new in edits.items():
            assert old in (urdf if text == "urdf" else yaml), old
            urdf, yaml = (urdf.replace(old, new, 1), yaml) if text == "urdf" else (urdf, yaml.replace(old, new, 1))
    (tmp_path / "hand.urdf").write_text(urdf)
    path = tmp_path / "hand.yaml"
    path.write_text(yaml.replace("urdf: urdf/freedom_v2.urdf", f"urdf: {tmp_path / 'hand.urdf'}"))
    return path


def test_a_hand_is_loaded_by_the_path_of_its_yaml(tmp_path):
    hand = HandModel.load(_variant(tmp_path, {"name: freedom_v2": "name: mine"}))
    assert hand.name == "mine" and hand.joint_names == HandModel.load("freedom_v2").joint_names


def test_unknown_hand_lists_the_known_ones():
    assert set(HANDS) <= set(known_hands())
    with pytest.raises(HandError, match=r"hand 'leep' is unknown; known: .*freedom_v2.*shadow"):
        HandModel.load("leep")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"[f_link1_1, f_link1_2": "[f_link1_1, f_link9_2"}, "link 'f_link9_2' is not in"),
        ({"contact_links: [p_link1": "contact_links: [p_link7"}, "link 'p_link7' is not in"),
        ({"  little: [": "  pinky: ["}, "part 'pinky' is unknown; known: index, little"),
        ({"  little: {link": "  pinky: {link"}, "finger 'pinky' is unknown; known: index, little"),
        ({"{link: f_link1_4, xyz": "{link: f_link1_4, at"}, "tip of thumb is .*expected a link and three"),
        ({"palmar: [0, 1, 0]": "palmar: [0, 0, 0]"}, "palmar is .*expected three numbers, not all zero"),
        ({"mount: {xyz: [0, 0, 0]": "mount: {xyz: [0, 0]"}, r"mount: xyz is \[0, 0\]"),
        ({"root: hand_base": "root: palm"}, "root link is 'hand_base', the hand's YAML says 'palm'"),
        ({"controller:": "controler:"}, "key 'controler' is unknown; known: .*controller"),
        ({"urdf: urdf/freedom_v2.urdf": "urdf: urdf/absent.urdf"}, "urdf/absent.urdf' was not found"),
        ({"jerk: 100.0": "couplings: {index_pip: {joint: index_joint, multiplier: 1}}"},
         "couplings: joint 'index_pip' is unknown; known: .*index_dip"),
        ({"jerk: 100.0": "couplings: {ring_joint: {joint: indx_joint, multiplier: 1}}"},
         "couplings: joint 'indx_joint' is unknown; known: .*index_joint"),
        ({"jerk: 100.0": "couplings: {ring_joint: {joint: middle_joint}}"},
         "coupling of ring_joint is .*; expected a joint and a multiplier, not 0"),
        ({"jerk: 100.0": "couplings: {ring_dip: {joint: middle_joint, multiplier: 1}}"},
         "joint 'ring_dip' is coupled, and mimics 'ring_joint' already"),
        ({"jerk: 100.0": "couplings: {ring_joint: {joint: index_dip, multiplier: 1}}"},
         "joint 'ring_joint' mimics 'index_dip', which is not driven"),
        ({"jerk: 100.0": "missing: {pinky: ring}"}, "missing: finger 'pinky' is unknown; known: index, little"),
        ({"jerk: 100.0": "missing: {little: ring}"}, "finger 'little' has a tip, so that it is not missing"),
        ({"stiffness: 5.0": "stiffness: 0"}, "stiffness is 0.0; expected a number above 0"),
        ({"mount: {xyz: [0, 0, 0], rpy: [0, 0, 0]}": "mount: {xyz: [0, 0, -0.05], rpy: [0, 0, 0]}"},
         r"mount xyz \[0, 0, -0.05\].* collides: link 'hand_base' stands 50 mm inside the arm's flange; at most 2"),
        ({"mount: {xyz: [0, 0, 0], rpy: [0, 0, 0]}": "mount: {xyz: [0, 0, 0], rpy: [3.14159, 0, 0]}"},
         "collides: link 'f_link3_1' stands 139 mm inside"),
        ({"mount: {xyz: [0, 0, 0]": "mount: {xyz: [0, .nan, 0]"}, r"mount: xyz is \[0, nan, 0\]; expected three"),
        ({"mount: {xyz: [0, 0, 0], rpy: [0, 0, 0]}": "mount: 3"}, "mount: expected keys and values, got 3"),
        ({"palmar: [0, 1, 0]": "palmar: [0, .inf, 0]"}, "palmar is .*inf.*; expected three numbers"),
        ({"stiffness: 5.0": "stiffness: .nan"}, "stiffness: expected a number, got nan"),
        ({"stiffness: 5.0": "stiffness: .inf"}, "stiffness is inf; expected a number above 0 N·m/rad"),
        ({"stiffness: 5.0": "stiffness: soft"}, "stiffness: expected float, got 'soft'"),
        ({"acceleration: 10.0": "acceleration: -2"}, r"acceleration is -2.0; expected a number above 0 rad/s²"),
        ({"jerk: 100.0": "jerk: 0"}, r"jerk is 0.0; expected a number above 0 rad/s³"),
        ({"facing: -0.5": "facing: 5"}, "facing is 5.0; expected a cosine, -1 to 1"),
        ({"jerk: 100.0": "couplings: {ring_joint: {joint: index_joint, multiplier: .nan}}"},
         "coupling of ring_joint is .*nan.*; expected a joint and a multiplier, not 0"),
        ({"  palm: [hand_base, p_link1]": "  palm: 7"}, "links of palm are 7; expected a list of names"),
        ({"root: hand_base\n": ""}, "hand.yaml: lacks root$"),
        ({"controller: freedom_hand_controller": "controller:"}, "controller: expected str, got None"),
    ],
)  # fmt: skip
def test_wrong_yaml_is_named(tmp_path, edit, message):
    with pytest.raises(HandError, match=message):
        HandModel.load(_variant(tmp_path, edit))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            {'<mimic joint="ring_joint"': '<mimic joint="wrist"'},
            "joint 'ring_dip' mimics 'wrist', which does not exist",
        ),
        (
            {'<mimic joint="ring_joint"': '<mimic joint="index_dip"'},
            "mimics 'index_dip', which is not driven",
        ),
        ({'multiplier="1.2"': 'multiplier="0"'}, "joint 'thumb_dip': mimic multiplier is 0"),
        (
            {'lower="0" upper="1.3786"': 'lower="2" upper="1.3786"'},
            "'thumb_joint2': lower limit 2.0 is above",
        ),
        ({'upper="1.3786"': 'upper="wide"'}, "joint 'thumb_joint2': limit upper is 'wide'; expected a finite number"),
        (
            {'type="revolute"': 'type="prismatic"'},
            "type 'prismatic' is unknown; known: continuous, fixed, revolute",
        ),
        ({PALM_SHAPE: PALM_SHAPE.replace("0.055", "up")}, "link 'p_link1': origin xyz is '.* up'; expected 3 finite"),
        ({"</robot>": ""}, "not valid XML"),
        (
            {'<parent link="f_link5_1"/>': '<parent link="f_link5_3"/>'},
            "link 'f_link5_2' does not hang on 'hand_base'; its joints run in a cycle",
        ),
        ({PALM_SHAPE: ""}, "contact link 'p_link1' has no collision shape"),
        ({'<joint name="middle_joint"': '<joint name="index_joint"'}, "joint name 'index_joint' is used twice"),
        ({'<link name="f_link2_2"': '<link name="f_link2_1"'}, "link name 'f_link2_1' is used twice"),
        ({'<joint name="middle_joint"': '<joint name=""'}, "joint name '' is empty"),
        ({FIRST_LIMIT: ""}, "joint 'thumb_joint1': lacks a limit; expected lower, upper .* or the type continuous"),
        (
            {FIRST_LIMIT: FIRST_LIMIT.replace('velocity="', 'velocity="-')},
            r"joint 'thumb_joint1': limit velocity is -[\d.]+; expected 0 or more",
        ),
        (
            {FIRST_LIMIT: FIRST_LIMIT.replace('velocity="', 'velocity="nan" was="')},
            "joint 'thumb_joint1': limit velocity is 'nan'; expected a finite number",
        ),
        (
            {FIRST_LIMIT: FIRST_LIMIT.replace('velocity="', 'was="')},
            "joint 'thumb_joint1': limit lacks velocity",
        ),
        (
            {FIRST_LIMIT: FIRST_LIMIT.replace("1.5", "0")},
            "joint 'thumb_joint1' has velocity limit 0; expected above 0 rad/s",
        ),
    ],
)
def test_wrong_urdf_is_named(tmp_path, edit, message):
    with pytest.raises(HandError, match=message):
        HandModel.load(_variant(tmp_path, urdf_edit=edit))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "hand.yaml: lacks name, urdf, root, parts, tips, palmar, contact_links, controller$"),
        ("- palm\n", "hand.yaml: expected keys and values, got list"),
        ("name: [", "hand.yaml: not valid YAML"),
    ],
)
def test_a_yaml_that_describes_nothing_is_named(tmp_path, text, message):
    (tmp_path / "hand.yaml").write_text(text)
    with pytest.raises(HandError, match=message):
        HandModel.load(tmp_path / "hand.yaml")


def test_missing_urdf_is_named(tmp_path):
    path = _variant(tmp_path)
    (tmp_path / "hand.urdf").unlink()
    with pytest.raises(HandError, match=r"hand\.urdf: URDF cannot be read"):
        HandModel.load(path)


def test_kinematics_keep_the_type_of_the_angles_and_their_slopes():
    hand = HandModel.load("freedom_v2")
    joints = _random_joints(hand, 2)
    once = hand.link_transforms(joints)
    assert hand.link_transforms(joints.double()).dtype == torch.float64
    assert torch.equal(hand.link_transforms(joints), once)
    moving = joints.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda q: hand.link_transforms(q)[:, -3:], moving)
