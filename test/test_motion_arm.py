"""Arm description and kinematics against the fact table and an independent engine."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import beside
import numpy as np
import pytest

from maskdex_core.errors import RobotError
from maskdex_core.motion.arm import Arm
from maskdex_core.motion.urdf import read_chain
from maskdex_core.resources import resource_path

SHARED = beside.ROOT
FACTS = SHARED / "robots" / "xarm7.json"
needs_facts = pytest.mark.skipif(not FACTS.exists(), reason=f"fact table {FACTS.name} is not there")


@pytest.fixture(scope="module")
def arm() -> Arm:
    return Arm.load("xarm7")


def random_positions(arm: Arm, count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(arm.limits.lower, arm.limits.upper, (count, 7))


def _turn(axis: int, angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.eye(4)
    matrix[i, i], matrix[i, j], matrix[j, i], matrix[j, j] = c, -s, s, c
    return matrix


def facts_forward(joints: list[dict], positions: dict[str, float]) -> dict[str, np.ndarray]:
    """Walk the fact table joint by joint; all its axes are z."""
    poses = {"link_base": np.eye(4)}
    for joint in joints:
        if joint["parent"] not in poses:
            continue
        origin = np.eye(4)
        origin[:3, 3] = joint["origin_xyz"]
        roll, pitch, yaw = joint["origin_rpy"]
        local = origin @ _turn(2, yaw) @ _turn(1, pitch) @ _turn(0, roll)
        if joint["type"] != "fixed":
            assert joint["axis"] == [0.0, 0.0, 1.0]
            local = local @ _turn(2, positions[joint["name"]])
        poses[joint["child"]] = poses[joint["parent"]] @ local
    return poses


@needs_facts
def test_links_stand_where_the_fact_table_puts_them(arm: Arm) -> None:
    joints = json.loads(FACTS.read_text())["joints"]
    positions = random_positions(arm, 100)
    frames = arm.link_transforms(positions)
    for row, q in zip(frames, positions, strict=True):
        expected = facts_forward(joints, dict(zip(arm.joint_names, q, strict=True)))
        for name, frame in zip(arm.link_names, row, strict=True):
            np.testing.assert_allclose(frame, expected[name], atol=1e-12)


@needs_facts
def test_limits_and_inertials_are_the_hardwares(arm: Arm) -> None:
    facts = json.loads(FACTS.read_text())
    joints = {joint["name"]: joint for joint in facts["joints"]}
    np.testing.assert_allclose(arm.limits.lower, [joints[n]["lower"] for n in arm.joint_names], atol=1e-12)
    np.testing.assert_allclose(arm.limits.upper, [joints[n]["upper"] for n in arm.joint_names], atol=1e-12)
    np.testing.assert_allclose(arm.limits.velocity, [joints[n]["velocity"] for n in arm.joint_names])
    root = ElementTree.parse(resource_path("urdf/xarm7.urdf")).getroot()
    for link in facts["links"]:
        element = root.find(f"link[@name='{link['name']}']")
        assert element is not None, link["name"]
        if link["mass"] is None:
            assert element.find("inertial") is None
            continue
        assert float(element.find("inertial/mass").get("value")) == link["mass"]
        inertia = {key: float(value) for key, value in element.find("inertial/inertia").attrib.items()}
        assert inertia == link["inertia"]
        assert [float(v) for v in element.find("inertial/origin").get("xyz").split()] == link["com"]
    for joint in facts["joints"]:
        if joint["effort"] is not None:
            assert float(root.find(f"joint[@name='{joint['name']}']/limit").get("effort")) == joint["effort"]


def test_limits_that_the_vendors_option_widens_stay_narrow(arm: Arm) -> None:
    named = {n: (lo, hi) for n, lo, hi in zip(arm.joint_names, arm.limits.lower, arm.limits.upper, strict=True)}
    assert named["joint2"] == (-2.059, 2.0944)
    assert named["joint4"] == (-0.19198, 3.927)
    assert named["joint6"] == pytest.approx((-1.69297, np.pi), abs=1e-12)


def test_forward_agrees_with_pytorch_kinematics(arm: Arm) -> None:
    import pytorch_kinematics
    import torch

    text = resource_path("urdf/xarm7.urdf").read_text()
    chain = pytorch_kinematics.build_serial_chain_from_urdf(text.encode(), "link_eef", "link_base")
    chain = chain.to(dtype=torch.float64)
    positions = random_positions(arm, 200, seed=1)
    expected = chain.forward_kinematics(torch.tensor(positions)).get_matrix().numpy()
    np.testing.assert_allclose(arm.forward(positions), expected, atol=1e-6)
    jacobian = chain.jacobian(torch.tensor(positions)).numpy()
    np.testing.assert_allclose(arm.tip_and_jacobian(positions)[1], jacobian, atol=1e-6)


def test_jacobian_is_the_derivative_of_forward(arm: Arm) -> None:
    positions = random_positions(arm, 20, seed=2)
    tip, jacobian = arm.tip_and_jacobian(positions)
    step = 1e-6
    for joint in range(7):
        moved = positions.copy()
        moved[:, joint] += step
        after = arm.forward(moved)
        np.testing.assert_allclose((after - tip)[:, :3, 3] / step, jacobian[:, :3, joint], atol=1e-5)
        spin = (after[:, :3, :3] - tip[:, :3, :3]) / step @ tip[:, :3, :3].transpose(0, 2, 1)
        found = np.stack([spin[:, 2, 1], spin[:, 0, 2], spin[:, 1, 0]], axis=1)
        np.testing.assert_allclose(found, jacobian[:, 3:, joint], atol=1e-5)


def test_home_points_down_over_the_table(arm: Arm) -> None:
    tip = arm.forward(arm.home[None])[0]
    assert tip[2, 2] < -0.9999
    np.testing.assert_allclose(tip[:3, 3], [0.32, 0.0, 0.42], atol=2e-3)
    assert (arm.workspace[0] < tip[:3, 3]).all() and (tip[:3, 3] < arm.workspace[1]).all()


def test_no_point_moves_farther_than_reach_says(arm: Arm) -> None:
    before = random_positions(arm, 300, seed=3)
    change = np.random.default_rng(4).uniform(-0.1, 0.1, before.shape)
    moved = arm.link_transforms(before + change)[..., :3, 3] - arm.link_transforms(before)[..., :3, 3]
    assert (np.linalg.norm(moved, axis=2).max(axis=1) <= np.abs(change) @ arm.reach() + 1e-12).all()


def test_capsules_hold_each_links_cylinder_and_joint_origin(arm: Arm) -> None:
    links = {capsule.link for capsule in arm.capsules}
    assert links == {"link_base", *(f"link{i}" for i in range(1, 8))}
    assert len(arm.capsules) == 10  # the sphere at each end of a cylinder is part of its capsule
    upper_arm = next(capsule for capsule in arm.capsules if capsule.link == "link2")
    assert np.linalg.norm(upper_arm.end - upper_arm.start) == pytest.approx(0.2)
    assert upper_arm.radius == pytest.approx(0.06)


def _canonical(element: ElementTree.Element) -> tuple:
    children = [_canonical(child) for child in element if isinstance(child.tag, str)]
    return element.tag, tuple(sorted(element.attrib.items())), tuple(children)


def _expanded(name: str) -> ElementTree.Element:
    xacro = Path(sys.executable).parent / "xacro"
    command = [str(xacro)] if xacro.exists() else [sys.executable, "-m", "xacro"]
    done = subprocess.run([*command, str(resource_path(f"urdf/{name}"))], capture_output=True, text=True, check=True)
    return ElementTree.fromstring(done.stdout)


def test_flat_urdf_is_the_xacros_expansion() -> None:
    flat = ElementTree.parse(resource_path("urdf/xarm7.urdf")).getroot()
    assert _canonical(flat) == _canonical(_expanded("xarm7.urdf.xacro"))


def test_arm_with_hand_is_one_tree_with_the_hand_on_the_flange() -> None:
    root = _expanded("xarm7_with_hand.urdf.xacro")
    links = [link.get("name") for link in root.findall("link")]
    parents = {j.find("child").get("link"): j.find("parent").get("link") for j in root.findall("joint")}
    assert len(set(links)) == len(links)
    assert [link for link in links if link not in parents] == ["world"]
    assert parents["hand_base"] == "link_eef"
    mount = root.find("joint[@name='hand_mount']/origin")
    assert mount.get("xyz") == "0 0 0" and mount.get("rpy") == "0 0 0"
    assert len(root.findall("joint/mimic")) == 5


def test_an_unknown_arm_names_the_known_ones() -> None:
    with pytest.raises(RobotError, match=r"arm 'xarm9' is unknown; known: .*xarm7"):
        Arm.load("xarm9")


@pytest.mark.parametrize(
    ("joint", "change", "sentence"),
    [
        ("joint4", {"upper": 4.0}, "joint4 limits .* are wider than the hardware's"),
        ("joint6", {"lower": -1.75}, "joint6 limits .* are wider than the hardware's"),
        ("joint1", {"velocity": 3.5}, "joint1 velocity 3.5 rad/s is above"),
        ("joint2", {"home": 2.09441}, "home of joint2 is 2.09441"),
        ("joint3", {"jerk": -1.0}, "jerk of joint3 is -1.0"),
        ("joint3", {"acceleration": np.inf}, "acceleration of joint3 is inf; expected a positive number"),
        ("joint3", {"velocity": np.nan}, "arm 'xarm7': joint3: velocity: expected a number, got nan"),
        ("joint3", {"speed": 1.0}, "arm 'xarm7': joint3: key 'speed' is unknown; known: acceleration"),
    ],
)
def test_a_configuration_beyond_the_hardware_is_refused(
    arm: Arm, joint: str, change: dict[str, float], sentence: str
) -> None:
    joints = {**arm.config.joints, joint: {**arm.config.joints[joint], **change}}
    with pytest.raises(RobotError, match=sentence):
        Arm.from_config(dataclasses.replace(arm.config, joints=joints))


@pytest.mark.parametrize(
    "change",
    [{"workspace_lower": (0.0, np.nan, 0.0)}, {"workspace_upper": (1.0, 1.0)}, {"workspace_lower": (0.9, 0.0, 0.0)}],
)
def test_a_workspace_that_is_no_box_is_refused(arm: Arm, change: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(RobotError, match=r"workspace_lower .*; expected three finite numbers each, the lower"):
        Arm.from_config(dataclasses.replace(arm.config, **change))


def test_joints_in_another_order_are_refused(arm: Arm) -> None:
    joints = dict(reversed(list(arm.config.joints.items())))
    with pytest.raises(RobotError, match="the URDF has joint1, joint2"):
        Arm.from_config(dataclasses.replace(arm.config, joints=joints))


FIRST_JOINT = '<origin rpy="0 0 0" xyz="0 0 0.267"/>'


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        ({FIRST_JOINT: '<origin xyz="a b c"/>'}, "joint 'joint1': origin xyz is 'a b c'; expected 3 finite numbers"),
        ({FIRST_JOINT: '<origin rpy="0 0"/>'}, "joint 'joint1': origin rpy is '0 0'"),
        ({'upper="2.0944"': 'upper="wide"'}, "joint 'joint2': limit upper is 'wide'; expected a finite number"),
        ({'type="revolute"': 'type="prismatic"'}, "joint 'joint1': type 'prismatic' is unknown"),
        ({"<cylinder": "<mesh"}, "link 'link_base': collision shape 'mesh' cannot be used"),
        ({'radius="0.065"': 'radius="thick"'}, "link 'link_base': .* radius is 'thick'"),
        ({"</robot>": ""}, "not valid XML"),
        ({'<child link="link3"/>': '<child link="link9"/>'}, r"no chain leads from 'link_base' .*stopped at 'link3'"),
    ],
)
def test_a_wrong_urdf_of_an_arm_is_named(tmp_path: Path, edit: dict[str, str], sentence: str) -> None:
    root = ElementTree.parse(resource_path("urdf/xarm7.urdf")).getroot()
    for link in root.findall("link"):
        for visual in link.findall("visual"):
            link.remove(visual)
    text = ElementTree.tostring(root, encoding="unicode").replace(" />", "/>")
    for old, new in edit.items():
        assert old in text, old
        text = text.replace(old, new, 1)
    (tmp_path / "arm.urdf").write_text(text)
    with pytest.raises(RobotError, match=sentence):
        read_chain(tmp_path / "arm.urdf", "link_base", "link_eef")


def test_a_missing_urdf_of_an_arm_is_named(tmp_path: Path) -> None:
    with pytest.raises(RobotError, match=r"none\.urdf: URDF cannot be read"):
        read_chain(tmp_path / "none.urdf", "link_base", "link_eef")
