"""URDF reading: capsules put together, inertia turned, wrong shapes and numbers named, chains cut out."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from maskdex_core.errors import UrdfError
from maskdex_core.resources import resource_path
from maskdex_core.urdf import pose_matrix, read_urdf


def _read(tmp_path, body):
    path = tmp_path / "robot.urdf"
    path.write_text(f"<robot name='r'>{body}</robot>")
    return read_urdf(path)


def _link(*collisions, name="a", inertial=""):
    texts = [
        f"<collision><origin xyz='{xyz}' rpy='{rpy}'/><geometry>{shape}</geometry></collision>"
        for xyz, rpy, shape in collisions
    ]
    return f"<link name='{name}'>{inertial}{''.join(texts)}</link>"


CYLINDER = "<cylinder radius='0.01' length='0.04'/>"


def _ball(radius="0.01"):
    return f"<sphere radius='{radius}'/>"


def test_cylinder_with_two_end_spheres_is_a_capsule(tmp_path):
    turned = "0 1.5707963267948966 0"  # the cylinder's axis lies along x
    link = _link(("0.1 0 0", turned, CYLINDER), ("0.12 0 0", "0 0 0", _ball()), ("0.08 0 0", "0 0 0", _ball()))
    (shape,) = _read(tmp_path, link).links["a"].shapes
    assert shape.kind == "capsule" and shape.size == (0.01, 0.02)
    ends = np.array([[0.13, 0, 0], [0.07, 0, 0], [0.1, 0.01, 0], [0.135, 0, 0]])
    assert np.allclose(shape.signed_distance(ends), [0, 0, 0, 0.005], atol=1e-9)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (("0 0 0.02", _ball()), ("0 0 0.02", _ball()), ["cylinder", "sphere", "sphere"]),  # both at one end
        (("0 0 0.02", _ball()), ("0 0 -0.02", _ball("0.012")), ["cylinder", "sphere", "sphere"]),  # too thick
        (("0 0 0.02", _ball()), ("0 0 -0.021", _ball()), ["cylinder", "sphere", "sphere"]),  # beside the end
    ],
)
def test_other_spheres_stay_spheres(tmp_path, first, second, expected):
    link = _link(("0 0 0", "0 0 0", CYLINDER), *((xyz, "0 0 0", ball) for xyz, ball in (first, second)))
    assert [shape.kind for shape in _read(tmp_path, link).links["a"].shapes] == expected


def test_third_sphere_survives_a_capsule(tmp_path):
    balls = [(xyz, "0 0 0", _ball()) for xyz in ("0 0 0.02", "0 0 -0.02", "0.05 0 0")]
    shapes = _read(tmp_path, _link(("0 0 0", "0 0 0", CYLINDER), *balls)).links["a"].shapes
    assert [shape.kind for shape in shapes] == ["capsule", "sphere"]
    assert np.allclose(shapes[1].link_from_shape[:3, 3], [0.05, 0, 0])


def test_box_sizes_are_halved(tmp_path):
    (box,) = _read(tmp_path, _link(("0 0 0", "0 0 0", "<box size='0.1 0.2 0.3'/>"))).links["a"].shapes
    assert box.size == pytest.approx((0.05, 0.1, 0.15))


@pytest.mark.parametrize("shape", ["<mesh filename='package://x/hand.stl'/>", "<capsule radius='1' length='1'/>", ""])
def test_shapes_that_are_no_primitives_are_named(tmp_path, shape):
    found = {"<m": "mesh", "<c": "capsule", "": "nothing"}[shape[:2]]
    with pytest.raises(UrdfError, match=f"link 'a': collision shape '{found}' cannot be used; use box, sphere"):
        _read(tmp_path, _link(("0 0 0", "0 0 0", shape)))


def test_inertia_is_turned_into_the_links_frame(tmp_path):
    inertial = (
        "<inertial><origin xyz='0.1 0 0' rpy='0 0 1.5707963267948966'/><mass value='0.2'/>"
        "<inertia ixx='1' ixy='0' ixz='0' iyy='2' iyz='0' izz='3'/></inertial>"
    )
    link = _read(tmp_path, _link(inertial=inertial)).links["a"]
    assert link.mass == 0.2 and link.com.tolist() == [0.1, 0, 0]
    assert np.allclose(link.inertia, np.diag([2, 1, 3]), atol=1e-12)


def test_pose_is_fixed_axis_roll_pitch_yaw():
    pose = pose_matrix(np.array([1.0, 2, 3]), np.array([np.pi / 2, 0, np.pi / 2]))
    assert np.allclose(pose @ [0, 0, 1, 1], [2, 2, 3, 1])  # z rolls to -y, which yaws to +x
    assert np.allclose(pose @ [0, 1, 0, 1], [1, 2, 4, 1])


def _joint(kind="revolute", limit="<limit lower='-1' upper='1' velocity='2' effort='3'/>", child="b"):
    return f"<joint name='j' type='{kind}'><parent link='a'/><child link='{child}'/>{limit}</joint>"


def test_joint_facts(tmp_path):
    joint = _read(tmp_path, _link() + _link(name="b") + _joint()).joints["j"]
    assert (joint.lower, joint.upper, joint.velocity, joint.effort) == (-1, 1, 2, 3)
    assert joint.axis.tolist() == [1, 0, 0] and joint.mimic is None
    free = _read(tmp_path, _link() + _link(name="b") + _joint("continuous", "")).joints["j"]
    assert (free.lower, free.upper) == pytest.approx((-np.pi, np.pi))


@pytest.mark.parametrize(
    ("joint", "message"),
    [
        (_joint(child="c"), "joint 'j' names link 'c', which does not exist"),
        (_joint("floating"), "joint 'j': type 'floating' is unknown"),
        ("<joint name='j' type='fixed'><parent link='a'/></joint>", "joint 'j': lacks a parent or a child"),
        (_joint(limit="<limit lower='1' upper='-1'/>"), "lower limit 1.0 is above the upper limit -1.0"),
        (_joint(limit=""), "joint 'j': lacks a limit; expected lower, upper"),
        (_joint(limit="<limit lower='0' upper='1' effort='3'/>"), "joint 'j': limit lacks velocity"),
        (
            _joint(limit="<limit lower='0' upper='1' velocity='2' effort='-3'/>"),
            "limit effort is -3; expected 0 or more",
        ),
        (_joint() + _joint(), "joint name 'j' is used twice; expected one of its own"),
        (_link(), "link name 'a' is used twice"),
    ],
)
def test_wrong_joints_are_named(tmp_path, joint, message):
    with pytest.raises(UrdfError, match=message):
        _read(tmp_path, _link() + _link(name="b") + joint)


@pytest.mark.parametrize(
    ("joint", "message"),
    [
        ("<origin xyz='a b c'/>", "joint 'j': origin xyz is 'a b c'; expected 3 finite numbers"),
        ("<origin xyz='1 2'/>", "origin xyz is '1 2'; expected 3"),
        ("<origin rpy='0 nan 0'/>", "origin rpy is '0 nan 0'; expected 3"),
        ("<axis xyz='0 0 0'/>", "joint 'j': axis xyz is all zero"),
        ("<axis xyz=''/>", "axis xyz is ''; expected 3"),
        ("<limit lower='-1' upper='1' velocity='inf'/>", "limit velocity is 'inf'; expected a finite number"),
        ("<mimic joint='j' offset='1 2'/>", "mimic offset is '1 2'; expected a finite number"),
    ],
)
def test_wrong_numbers_of_a_joint_are_named(tmp_path, joint, message):
    with pytest.raises(UrdfError, match=message):
        _read(tmp_path, _link() + _link(name="b") + _joint(limit=joint))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ("<sphere radius='0'/>", "link 'a': sphere radius is '0'; expected lengths above 0"),
        ("<sphere/>", "link 'a': sphere lacks radius"),
        ("<cylinder radius='0.1' length='-1'/>", "cylinder length is '-1'; expected lengths above"),
        ("<box size='1 2'/>", "box size is '1 2'; expected 3 finite numbers"),
    ],
)
def test_wrong_sizes_are_named(tmp_path, shape, message):
    with pytest.raises(UrdfError, match=message):
        _read(tmp_path, _link(("0 0 0", "0 0 0", shape)))


def _numeric(value):
    try:
        return [float(part) for part in value.split()] != []
    except ValueError:
        return False


@pytest.mark.parametrize("name", ["freedom_v2", "xarm7"])
def test_no_bad_number_of_a_shipped_robot_escapes(tmp_path, name):
    root = ElementTree.parse(resource_path(f"urdf/{name}.urdf")).getroot()
    for link in root.findall("link"):
        for visual in link.findall("visual"):
            link.remove(visual)
    known = ("origin", "axis", "limit", "mimic", "mass", "inertia", "box", "sphere", "cylinder")
    places = [(e, key) for e in root.iter() if e.tag in known for key, text in e.attrib.items() if _numeric(text)]
    assert len(places) > 100
    path = tmp_path / "robot.urdf"
    for element, key in places[::7]:  # a seventh meets every kind of place and is quick
        kept, element.attrib[key] = element.attrib[key], "1 x"
        path.write_text(ElementTree.tostring(root, encoding="unicode"))
        with pytest.raises(UrdfError, match=rf"{element.tag} {key} is '1 x'; expected"):
            read_urdf(path)
        element.attrib[key] = kept


def test_what_is_not_read_is_not_handed_on(tmp_path):
    link = "<link name='a'><visual><origin xyz='a b c'/><geometry><mesh filename='x.stl'/></geometry></visual></link>"
    joint = _joint(limit="<dynamics damping='much'/><limit lower='-1' upper='1' velocity='2' effort='3'/>")
    text = _read(tmp_path, link + _link(name="b") + joint + "<transmission name='t'/>").text
    assert not any(word in text for word in ("visual", "dynamics", "transmission"))
    assert "limit" in text and "child" in text


def test_what_is_no_tree_is_refused(tmp_path):
    with pytest.raises(UrdfError, match="holds no link"):
        _read(tmp_path, "")
    other = "<joint name='k' type='fixed'><parent link='{}'/><child link='{}'/></joint>"
    links = _link() + _link(name="b")
    with pytest.raises(UrdfError, match="link 'b' hangs on two joints, 'j' and 'k'"):
        _read(tmp_path, links + _joint() + other.format("a", "b"))
    with pytest.raises(UrdfError, match="no root link"):
        _read(tmp_path, links + _joint() + other.format("b", "a"))


def test_a_chain_leaves_the_rest_unread(tmp_path):
    hops = (("c", "d"), ("b", "c"), ("a", "b"))  # in the file the chain stands backwards
    joints = "".join(
        f"<joint name='{up}{down}' type='fixed'><parent link='{up}'/><child link='{down}'/></joint>"
        for up, down in hops
    )
    gripper = _link(("0 0 0", "0 0 0", "<mesh filename='x.stl'/>"), name="g") + _joint("prismatic", "", child="g")
    body = "".join(_link(name=name) for name in "abcd") + joints + gripper
    path = tmp_path / "robot.urdf"
    path.write_text(f"<robot name='r'>{body}</robot>")
    chain = read_urdf(path, ("b", "d"))
    assert list(chain.joints) == ["bc", "cd"] and set(chain.links) == {"b", "c", "d"}
    with pytest.raises(UrdfError, match="no chain leads from 'd' to 'b'"):
        read_urdf(path, ("d", "b"))
    with pytest.raises(UrdfError, match=r"link 'g': collision shape 'mesh'|type 'prismatic'"):
        read_urdf(path)
