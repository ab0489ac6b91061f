"""docs/new_hand.md: the example is a hand, two data files and no code, and it takes over Shadow grasps."""

import re
from pathlib import Path

import pytest
import torch
from held_grasps import held_grasps

from maskdex_core.hands import HandModel
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.retarget import retarget
from maskdex_core.retarget.contact_goal import contact_goal
from maskdex_core.retarget.retarget import touching_fingers

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
