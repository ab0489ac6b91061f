"""MoveIt and ros2_control files of every hand: up to date, and consistent with the URDF that they are loaded beside."""

from __future__ import annotations

import functools
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import yaml

from maskdex_core.hands.model import HandModel
from maskdex_core.hands.spec import known_hands
from maskdex_core.motion.arm import Arm
from maskdex_core.resources import resource_path
from maskdex_ros.parameters import NodeParameters
from maskdex_ros.reference import __main__ as reference
from maskdex_ros.reference.moveit import HAND_GROUP, overlapping_by_design
from maskdex_ros.robot_description import robot_description

ARM = "xarm7"
HANDS = known_hands()


def folder(hand: str) -> Path:
    return resource_path(f"config/moveit/{ARM}_{hand}")


def read(hand: str, name: str) -> dict:
    return yaml.safe_load((folder(hand) / name).read_text(encoding="utf-8"))


@functools.cache
def robot(hand: str) -> ElementTree.Element:
    """The URDF of arm and hand with mock hardware, as demo.launch.py asks for it."""
    pytest.importorskip("xacro", reason="xacro is not installed")
    return ElementTree.fromstring(robot_description(hand, ros2_control="mock"))


@pytest.mark.parametrize("hand", HANDS)
def test_the_written_files_are_up_to_date(hand: str) -> None:
    files = reference.robot_files(ARM, hand)
    assert reference.stale(files, resource_path("config").parent) == [], "run `make reference`"


def test_no_folder_is_left_of_a_hand_that_is_gone() -> None:
    written = {f"config/moveit/{ARM}_{hand}/robot.srdf": "" for hand in HANDS}
    assert reference.orphans(written, resource_path("config").parent) == []


@pytest.mark.parametrize("hand", HANDS)
class TestRobot:
    def test_it_is_one_tree_with_unique_names(self, hand: str) -> None:
        links = [link.get("name") for link in robot(hand).findall("link")]
        joints = [joint.get("name") for joint in robot(hand).findall("joint")]
        children = [joint.find("child").get("link") for joint in robot(hand).findall("joint")]
        assert len(set(links)) == len(links)
        assert len(set(joints)) == len(joints)
        assert set(links) - set(children) == {"world"}
        assert len(children) == len(set(children)) == len(links) - 1

    def test_the_hand_is_mounted_where_its_yaml_says(self, hand: str) -> None:
        spec = HandModel.load(hand).spec
        mount = robot(hand).find("joint[@name='hand_mount']")
        assert mount.find("parent").get("link") == "link_eef"
        assert mount.find("child").get("link") == spec.root
        for key in ("xyz", "rpy"):
            assert np.allclose([float(v) for v in mount.find("origin").get(key).split()], spec.mount[key], atol=1e-12)

    def test_mock_hardware_drives_exactly_the_driven_joints(self, hand: str) -> None:
        driven = [*Arm.load(ARM).joint_names, *HandModel.load(hand).joint_names]
        joints = [j for j in robot(hand).findall("ros2_control/joint") if j.find("command_interface") is not None]
        assert [joint.get("name") for joint in joints] == driven
        assert all(joint.find("command_interface").get("name") == "position" for joint in joints)
        starts = [float(joint.find("state_interface/param[@name='initial_value']").text) for joint in joints]
        assert starts == list(read(hand, "initial_positions.yaml")["initial_positions"].values())

    def test_every_joint_has_a_state_or_follows_one_that_has(self, hand: str) -> None:
        movable = {j.get("name"): j.find("mimic") for j in robot(hand).findall("joint") if j.get("type") != "fixed"}
        with_state = {joint.get("name") for joint in robot(hand).findall("ros2_control/joint")}
        assert with_state == {name for name, mimic in movable.items() if mimic is None}
        assert {mimic.get("joint") for mimic in movable.values() if mimic is not None} <= with_state

    def test_what_moves_together_in_our_model_does_so_in_the_urdf(self, hand: str) -> None:
        model = HandModel.load(hand)
        mimics = {joint.get("name"): joint.find("mimic") for joint in robot(hand).findall("joint")}
        assert {name for name in model.all_joint_names if mimics[name] is None} == set(model.joint_names)
        for name in set(model.all_joint_names) - set(model.joint_names):
            source, *numbers = model.follower(name)
            assert mimics[name].get("joint") == source
            written = [float(mimics[name].get(key, default)) for key, default in (("multiplier", 1.0), ("offset", 0.0))]
            assert written == pytest.approx(numbers), name


@pytest.mark.parametrize("hand", HANDS)
class TestFiles:
    def test_controllers_have_the_joints_of_arm_and_hand_in_every_file(self, hand: str) -> None:
        arm, model = Arm.load(ARM), HandModel.load(hand)
        wanted = {arm.config.controller: list(arm.joint_names), model.spec.controller: list(model.joint_names)}
        moveit = read(hand, "moveit_controllers.yaml")["moveit_simple_controller_manager"]
        control = read(hand, "ros2_controllers.yaml")
        assert moveit["controller_names"] == list(wanted)
        for name, joints in wanted.items():
            assert moveit[name]["joints"] == control[name]["ros__parameters"]["joints"] == joints
            assert control["controller_manager"]["ros__parameters"][name]["type"].startswith(
                "joint_trajectory_controller/"
            )

    def test_limits_are_never_wider_than_the_urdfs(self, hand: str) -> None:
        limits = read(hand, "joint_limits.yaml")["joint_limits"]
        urdf = {joint.get("name"): joint.find("limit") for joint in robot(hand).findall("joint")}
        for name, limit in limits.items():
            assert limit["min_position"] >= float(urdf[name].get("lower"))
            assert limit["max_position"] <= float(urdf[name].get("upper"))
            assert limit["max_velocity"] <= float(urdf[name].get("velocity")) + 1e-6
            assert min(limit[f"max_{kind}"] for kind in ("velocity", "acceleration", "jerk")) > 0

    def test_the_srdf_names_only_what_the_urdf_has(self, hand: str) -> None:
        srdf = ElementTree.parse(folder(hand) / "robot.srdf").getroot()
        links = {link.get("name") for link in robot(hand).findall("link")}
        joints = {joint.get("name") for joint in robot(hand).findall("joint")}
        assert srdf.get("name") == robot(hand).get("name")
        assert {joint.get("name") for joint in srdf.iter("joint")} <= joints
        for pair in srdf.findall("disable_collisions"):
            assert {pair.get("link1"), pair.get("link2")} <= links
            assert pair.get("link1") != pair.get("link2")
        chain = srdf.find("group[@name='xarm7']/chain")
        assert {chain.get("base_link"), chain.get("tip_link")} <= links

    def test_named_states_lie_within_the_limits(self, hand: str) -> None:
        limits = read(hand, "joint_limits.yaml")["joint_limits"]
        srdf = ElementTree.parse(folder(hand) / "robot.srdf").getroot()
        named = {joint.get("name"): float(joint.get("value")) for joint in srdf.findall("group_state/joint")}
        assert set(named) == set(limits)
        assert all(
            limits[name]["min_position"] <= value <= limits[name]["max_position"] for name, value in named.items()
        )


def test_the_description_is_made_without_torch() -> None:
    """Launch runs in ROS' own Python, which has none."""
    program = "import sys; sys.modules['torch'] = None; from maskdex_ros.robot_description import robot_description"
    pytest.importorskip("xacro", reason="xacro is not installed")
    command = [sys.executable, "-c", f"{program}; print(robot_description('shadow_coupled'))"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert ElementTree.fromstring(done.stdout).find("joint[@name='FFJ1']/mimic").get("joint") == "FFJ2"


def test_fingers_are_still_checked_against_each_other_and_the_arm() -> None:
    pairs = {frozenset(pair) for pair in overlapping_by_design(Arm.load(ARM), HandModel.load("shadow"))}
    for checked in (
        ("rh_thdistal", "rh_ffdistal"),
        ("rh_ffdistal", "rh_palm"),
        ("rh_palm", "link3"),
        ("link1", "link4"),
    ):
        assert frozenset(checked) not in pairs, checked
    for left_out in (("rh_palm", "rh_ffproximal"), ("link7", "rh_ffdistal"), ("link2", "link4")):
        assert frozenset(left_out) in pairs, left_out


def test_joint_names_that_look_like_numbers_stay_texts() -> None:
    assert all(
        isinstance(name, str)
        for name in read("leap", "ros2_controllers.yaml")["leap_hand_controller"]["ros__parameters"]["joints"]
    )


def test_the_node_looks_for_the_hands_group_by_its_name_here() -> None:
    assert NodeParameters.moveit_hand_group == HAND_GROUP


def test_planning_and_kinematics_name_the_arms_group() -> None:
    group = Arm.load(ARM).config.group
    assert list(yaml.safe_load(resource_path("config/moveit/kinematics.yaml").read_text())) == [group]
    planning = yaml.safe_load(resource_path("config/moveit/planning.yaml").read_text())
    assert group in planning["ompl"]
    assert (
        planning["planning_pipelines"]["default_planning_pipeline"] in planning["planning_pipelines"]["pipeline_names"]
    )
