"""LIFT: objects and texts, where a plan failed, rates with intervals, and one whole trial."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import trimesh
from cli_support import fails, run

from maskdex_core.data.dataset import GraspDataset
from maskdex_core.errors import CloudError, DatasetError, MaskdexError
from maskdex_core.metrics.lift import LiftTrial, Placement, attempt, lift_summary, plan_failure
from maskdex_core.metrics.lift_objects import lift_objects
from maskdex_core.metrics.subjects import folder_subjects, split_subjects, spoken_name
from maskdex_core.resources import resource_path

pytest.importorskip("mujoco", reason="no simulator: pip install 'maskdex_ros[sim]'")


def a_trial(name: str, outcome: str, typical: str = "slip", agrees: bool | None = None) -> LiftTrial:
    return LiftTrial(name, "lift it", outcome, typical, agrees, 0.3, "", 0.12, 3.0, (0.4, 0.0, 0.0), (1.0, 0.0, 0.5), 0)


def test_rates_count_trials_and_intervals_cluster_by_object() -> None:
    trials = [a_trial(f"mug_{i}", "lifted") for i in range(6) for _ in range(2)]
    trials += [a_trial(f"can_{i}", "slip") for i in range(2) for _ in range(2)]
    summary = lift_summary(trials, "leap")
    assert (summary["n"], summary["objects"], summary["success_rate"]) == (16, 8, 0.75)
    low, high = summary["interval"]
    assert low < 0.6
    assert high > 0.9  # wider than sixteen independent trials would give
    assert summary["histogram"] == {"lifted": 12, "slip": 4}
    assert summary["typical_mass"]["success_rate"] == 0.0
    assert [trial["object"] for trial in summary["trials"]][:2] == ["mug_0", "mug_0"]


def test_words_count_where_a_text_names_a_part_and_something_was_planned() -> None:
    trials = [a_trial(f"mug_{i}", "lifted", agrees=i > 0) for i in range(4)] + [a_trial("can", "slip")]
    found = lift_summary(trials, "leap")["part_agreement"]
    assert (found["rate"], found["n"]) == (0.75, 4) and found["interval"][0] < 0.5
    assert lift_summary(trials[-1:], "leap")["part_agreement"] == {"rate": 0.0, "interval": [0.0, 1.0], "n": 0}


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        (["grasp: too deep", "grasp: unbalanced"], "no grasp"),
        (["grasp: too deep", "inverse kinematics: out of reach", "inverse kinematics: limits"], "IK"),
        (["table collision: hand and table", "table collision: arm", "inverse kinematics: far"], "motion"),
        (["velocity: joint1 reaches 9 rad/s"], "verdict"),
    ],
)
def test_a_failed_plan_is_put_down_to_the_step_that_most_grasps_failed_at(reasons: list[str], expected: str) -> None:
    plan = SimpleNamespace(candidates=[SimpleNamespace(verdict="rejected", reason=reason) for reason in reasons])
    assert plan_failure(plan) == expected


def test_what_the_planner_raises_becomes_an_outcome() -> None:
    for error, expected in ((CloudError("no object"), "perception"), (MaskdexError("start"), "motion")):

        def fail(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        plan, outcome, reason = attempt(SimpleNamespace(plan=fail), None, "lift it", None, 0)
        assert (plan, outcome, reason) == (None, expected, str(error))


def test_objects_stand_in_front_of_the_robot_and_cameras_look_at_them() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        place = Placement.drawn(rng, 0.1)
        x, y, z = place.base_from_object[:3, 3]
        assert 0.36 <= x <= 0.52
        assert abs(y) <= 0.2
        assert z == 0.0
        way = place.camera_target - place.camera_position
        assert 0.5 < np.linalg.norm(way) < 1.0
        assert place.camera_position[2] > 0.3


def test_unseen_objects_are_unseen_and_their_texts_are_the_datasets() -> None:
    data = GraspDataset.load(resource_path("data/shadow"))
    subjects = split_subjects(data, "unseen")
    objects = lift_objects(subjects, 2, 6, 0)
    trained = set(data.split("train").object_names)
    assert len(objects) == 6
    assert not {item.name for item in objects} & trained
    assert all(len(item.requests) == 2 for item in objects)
    assert objects[0].load().name == objects[0].name
    assert [item.name for item in lift_objects(subjects, 2, 6, 0)] == [item.name for item in objects]


def test_a_folder_of_meshes_needs_no_annotation(tmp_path: Path) -> None:
    trimesh.creation.cylinder(0.03, 0.1).export(tmp_path / "tin.obj")
    row = {"name": "007_tuna_tin", "source": "mine", "mesh": "tin.obj"}
    (tmp_path / "index.json").write_text(json.dumps([row]))
    (found,) = lift_objects(folder_subjects(tmp_path), 3, None, 0)
    assert found.name == "mine/007_tuna_tin"
    assert all("tuna tin" in request.text for request in found.requests)
    target = found.load()
    assert target.bounds[0, 2] == pytest.approx(0.0, abs=1e-4)
    assert sum(piece.volume for piece in target.pieces) == pytest.approx(np.pi * 0.03**2 * 0.1, rel=0.05)
    with pytest.raises(DatasetError, match="cannot be read"):
        folder_subjects(tmp_path / "missing")


def test_names_are_said_as_people_say_them() -> None:
    assert spoken_name("ycb_sim/006_mustard_bottle") == "mustard bottle"
    assert spoken_name("object_sim/coffeemug") == "coffeemug"


def test_options_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    fails(run("evaluate", "--lift", "--meaning"), 2, "--lift and --meaning")
    fails(run("evaluate", "--lift", "--out", tmp_path / "x.txt"), 2, ".json")
    fails(run("evaluate", "--lift", "--objects", tmp_path / "none", "--limit", "1"), 3, "index.json")
    fails(run("evaluate", "--lift", "--hand", "leep", "--limit", "1"), 3, "leep")


def test_the_command_leaves_every_trial_in_its_file(tmp_path: Path) -> None:
    out = tmp_path / "lift.json"
    ended = run("evaluate", "--lift", "--limit", "1", "--samples", "4", "--out", out)
    assert ended.code == 0, ended.err
    content = json.loads(out.read_text())
    (trial,) = content["trials"]
    assert content["n"] == 1
    assert content["success_rate"] == float(trial["outcome"] == "lifted")
    assert trial["object"] in ended.err
    assert content["left_out"] == {} and content["part_agreement"]["n"] <= 1
    assert "LIFT freedom_v2, 0.1 kg" in ended.out and "touches what the text names" in ended.out
