"""docs/new_hand.md: the example is a hand, two data files and no code, and it takes over Shadow grasps."""

import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import torch
import yaml
from held_grasps import held_grasps

from maskdex_core import resources
from maskdex_core.hands import HandModel, spec
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.resources import resource_path
from maskdex_core.retarget import retarget
from maskdex_core.retarget.contact_goal import contact_goal
from maskdex_core.retarget.retarget import touching_fingers
from maskdex_ros.reference import __main__ as reference
from maskdex_ros.robot_description import robot_description

DOC = (Path(__file__).resolve().parent.parent / "docs" / "new_hand.md").read_text(encoding="utf-8")
SHADOW = HandModel.load("shadow")


def _block(language):
    return re.search(rf"```{language}\n(.*?)```", DOC, re.DOTALL).group(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tri")
    (folder / "tri.urdf").write_text(_block("xml"))
    (folder / "tri.yaml").write_text(_block("yaml"))
    return folder


@pytest.fixture(scope="module")
def tri(folder):
    return HandModel.load(folder / "tri.yaml")


def test_the_two_files_make_a_hand(tri):
    assert tri.name == "tri" and tri.finger_names == ("thumb", "index", "middle")
    assert tri.joint_names == ("index_joint", "middle_joint", "thumb_joint", "thumb_outer_joint")
    assert len(tri.all_joint_names) == 6
    assert {shape.kind for _, shape in tri.shapes()} == {"box", "capsule"}
    assert len(tri.surface_part.unique()) == 4


def test_its_moveit_folder_is_written_by_the_steps_told(tmp_path, monkeypatch, capsys):
    """On a copy of the shipped files, for this hand alone."""
    pytest.importorskip("xacro", reason="xacro is not installed")
    steps = DOC[DOC.index("## MoveIt and ros2_control") :]
    line = re.search(r"`(urdf: \S+)`", steps).group(1)
    for name in ("config/arms", "config/hands", "config/moveit", "urdf"):
        shutil.copytree(resource_path(name), tmp_path / name)
    (tmp_path / "urdf" / "tri.urdf").write_text(_block("xml"))
    (tmp_path / "config" / "hands" / "tri.yaml").write_text(re.sub(r"urdf: \S+", line, _block("yaml"), count=1))
    monkeypatch.setattr(resources, "resource_roots", lambda: [tmp_path])
    monkeypatch.setattr(spec, "known_hands", lambda: ("tri",))
    assert reference.main([]) == 0
    written = re.findall(r"written: (config/moveit/xarm7_tri/\S+)", capsys.readouterr().out)
    assert len(written) == 5
    driven = ["index_joint", "middle_joint", "thumb_joint", "thumb_outer_joint"]
    controllers = yaml.safe_load((tmp_path / "config/moveit/xarm7_tri/ros2_controllers.yaml").read_text())
    assert controllers["tri_hand_controller"]["ros__parameters"]["joints"] == driven
    semantic = ElementTree.parse(tmp_path / "config/moveit/xarm7_tri/robot.srdf").getroot()
    described = ElementTree.fromstring(robot_description("tri", ros2_control="mock"))
    joints = {joint.get("name") for joint in described.findall("joint")}
    assert {joint.get("name") for joint in semantic.findall("group[@name='hand']/joint")} <= joints
    assert set(driven) <= {joint.get("name") for joint in described.findall("ros2_control/joint")}
    assert reference.main(["--check"]) == 1  # the other hands' folders, which nothing wrote here
    assert "stale" not in capsys.readouterr().out


def test_its_python_example_runs(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    exec(compile(_block("python"), "new_hand.md", "exec"), {})
    assert "('thumb', 'index', 'middle')" in capsys.readouterr().out


def test_it_takes_over_a_grasp(tri):
    grasp = held_grasps()["can"]
    scene = HandOnObject(tri, grasp.target.sdf, 0.0)
    touch = touching_fingers(HandOnObject(SHADOW, grasp.target.sdf, 0.0), grasp.pose)
    made = retarget(SHADOW, grasp.pose, scene, touch)
    assert made.fingers == tri.finger_names and made.objection(0) == ""
    assert ((made.pose.joints >= tri.lower) & (made.pose.joints <= tri.upper)).all()
    assert touching_fingers(scene, made.pose).sum() >= 2
    assert made.residual[0] < 0.05  # its squeeze balances: the can is held


def test_a_stand_in_goes_where_the_missing_finger_touches(tri):
    grasp = held_grasps()["can"]
    scene = HandOnObject(tri, grasp.target.sdf, 0.0)
    fingers = ("thumb", "index", "middle")

    def goal(*touching):
        touch = torch.tensor([[finger in touching for finger in SHADOW.finger_names]])
        return contact_goal(SHADOW, grasp.pose, scene, fingers, touch)

    tips = grasp.pose.to_object(SHADOW.tip_points(grasp.pose.joints))[0]
    middle, ring = (SHADOW.finger_names.index(finger) for finger in ("middle", "ring"))
    assert torch.equal(goal("thumb", "middle", "ring").tips[0, 2], tips[middle])  # it has its own to do
    assert torch.equal(goal("thumb", "ring").tips[0, 2], tips[ring])
    assert goal("thumb", "ring").touch.tolist() == [[True, False, True]]
    assert torch.equal(goal("thumb").tips[0, 2], tips[middle])  # nobody needs it
