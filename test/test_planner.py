"""The planner: a cloud and a sentence in, a checked plan or the reasons why not out."""

import dataclasses
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from perception_scenes import box, camera, capture, cup, placed, table
from planner_support import decided

from maskdex_core import Planner
from maskdex_core.errors import (
    CheckpointError,
    CloudError,
    ConfigError,
    HandError,
    PlanCancelled,
    RobotError,
    TextError,
    UsageError,
)
from maskdex_core.hands import HandModel
from maskdex_core.motion.types import RobotState
from maskdex_core.perception.cloud import Cloud
from maskdex_core.perception.files import load_cloud
from maskdex_core.planner import PlannerConfig, _pose_of
from maskdex_core.planning.proposals import MISS_WEIGHT, pose_of
from maskdex_core.planning.saved import SavedPlan
from maskdex_core.refine.contacts import HandOnObject
from maskdex_core.resources import resource_path
from maskdex_core.retarget.contact_goal import REACH

TEXT = "pick up the mug by its handle"
STAGES = ["text", "segment", "complete", "sample", "refine", "retarget", "motion"]
TRAJECTORY = {"joint_names", "times", "positions", "velocities", "accelerations"}


@pytest.fixture(scope="module")
def planner():
    torch.set_num_threads(1)
    return Planner(PlannerConfig(samples=4, seed=3))


@pytest.fixture(scope="module")
def cloud():
    return load_cloud(resource_path("data/demo_scene/bag"))


@pytest.fixture(scope="module")
def plan(planner, cloud):
    return planner.plan(cloud, TEXT)


def test_the_demo_scene_is_decided(plan):
    decided(plan)
    assert len(plan.candidates) == 4
    cost = torch.tensor([candidate.cost for candidate in plan.candidates])
    order = cost - MISS_WEIGHT * torch.tensor([candidate.agreement for candidate in plan.candidates]).log()
    assert float(order.diff().min()) > -1e-6
    tried = [candidate.verdict for candidate in plan.candidates[: plan.chosen]]
    assert tried == ["rejected"] * plan.chosen


def test_the_palm_is_beside_the_object(plan):
    centroid = np.asarray(plan.scene.object_centroid)
    for candidate in plan.candidates:
        # The root frame lies at the wrist, 0.1 m behind the palm's middle.
        assert np.linalg.norm(candidate.palm_pose[:3, 3] - centroid) < 0.30
        assert np.allclose(candidate.palm_pose[:3, :3] @ candidate.palm_pose[:3, :3].T, np.eye(3), atol=1e-9)
    skin = np.concatenate(list(plan.target_hand_points.values()))
    nearest = np.linalg.norm(skin[:, None] - plan.object_points[None, ::4], axis=-1).min()
    assert nearest < 0.01  # m: the hand is drawn where it touches


def test_joints_are_inside_the_hands_limits(plan):
    hand = HandModel.load("freedom_v2")
    for candidate in plan.candidates:
        for joints in (candidate.joints, candidate.pregrasp, candidate.squeeze):
            assert (joints >= hand.lower.numpy() - 1e-6).all() and (joints <= hand.upper.numpy() + 1e-6).all()


def test_report_has_the_promised_keys(plan):
    report = plan.report()
    assert set(report) == {
        "status", "reason", "text", "object", "grasp", "candidates", "target_hand", "trajectory",
        "timings_ms", "model", "seed", "frame", "extrinsics", "arm", "chosen",
    }  # fmt: skip
    assert set(report["object"]) == {"points", "centroid", "extent"}
    assert set(report["grasp"]) == {
        "joint_names", "joints", "palm_position", "palm_rotation", "tokens", "token_confidence", "confidence",
    }  # fmt: skip
    for candidate in report["candidates"]:
        assert set(candidate) == {
            "confidence",
            "verdict",
            "reason",
            "cost",
            "agreement",
            "palm_position",
            "contact_error",
        }
        assert 0 <= candidate["confidence"] <= 1
    target = {"name", "joint_names", "pregrasp", "grasp", "squeeze", "palm_position", "palm_rotation"}
    assert set(report["target_hand"]) == target
    assert set(report["model"]) == {"name", "data", "commit"}
    assert set(report["timings_ms"]) == {*STAGES, "total"}
    if plan.ok:
        assert set(report["trajectory"]) == {"arm", "hand", "phases"}
        assert set(report["trajectory"]["arm"]) == set(report["trajectory"]["hand"]) == TRAJECTORY
        assert list(report["trajectory"]["phases"]) == ["transit", "approach", "close", "lift"]


def test_report_numbers(plan):
    report = json.loads(json.dumps(plan.report(), allow_nan=False))
    assert report["text"] == TEXT and report["seed"] == 3 and report["frame"] == "link_base"
    assert report["object"]["points"] == len(plan.object_points) > 100
    assert len(report["grasp"]["joints"]) == len(report["grasp"]["joint_names"]) == 22
    assert len(report["grasp"]["tokens"]) == len(report["grasp"]["token_confidence"]) == 6
    assert report["target_hand"]["name"] == "freedom_v2" and len(report["target_hand"]["squeeze"]) == 7
    rotation = np.array(report["grasp"]["palm_rotation"])
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4)
    stages = [report["timings_ms"][stage] for stage in STAGES]
    assert report["timings_ms"]["total"] == pytest.approx(sum(stages), abs=0.1) and min(stages) >= 0


def test_save_leaves_five_files(plan, tmp_path):
    plan.save(tmp_path / "out")
    names = {path.name: path.stat().st_size for path in (tmp_path / "out").iterdir()}
    assert set(names) == {"report.json", "trajectory.json", "plan.png", "object.ply", "scene.npz"}
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report == json.loads(json.dumps(plan.report()))
    assert json.loads((tmp_path / "out" / "trajectory.json").read_text()) == report["trajectory"]
    assert names["plan.png"] > 20_000
    again = load_cloud(tmp_path / "out" / "object.ply")  # camera frame
    in_base = again.points @ plan.scene.base_from_camera[:3, :3].T + plan.scene.base_from_camera[:3, 3]
    assert np.allclose(in_base, plan.object_points, atol=1e-4)


def test_a_plan_tells_how_far_each_contact_is_from_the_shadow_hands(plan, tmp_path):
    """The distance between the two hands' contact points of a finger, measured anew on both hands."""
    shadow, target = HandModel.load("shadow"), HandModel.load("freedom_v2")
    ours, theirs = (HandOnObject(hand, plan.geometry.sdf, plan.geometry.table_height) for hand in (target, shadow))
    of_finger = {hand: [hand.part_names[int(part)] for part in hand.link_part[hand.contact_link_index]]
                 for hand in (shadow, target)}  # fmt: skip
    checked = 0
    for row, candidate in enumerate(plan.candidates):
        assert set(candidate.contact_error) <= set(target.finger_names) and min(candidate.contact_error.values()) >= 0
        made = ours.contacts(_pose_of(candidate, plan.geometry))
        asked = theirs.contacts(pose_of(plan.grasps.index([row])))
        for finger, error in candidate.contact_error.items():
            touching = (asked.gap[0] < REACH) & torch.tensor([part == finger for part in of_finger[shadow]])
            if not touching.any():
                continue  # it stands in for another finger
            mine = torch.tensor([part == finger for part in of_finger[target]])
            apart = torch.cdist(made.point[0, mine], asked.point[0, touching])
            assert apart.min() - 1e-4 <= error  # the nearest pair of links
            assert error <= (apart + made.gap[0, mine].clamp(min=0)[:, None]).max() + 1e-4  # and the farthest
            checked += 1
    assert checked > len(plan.candidates)
    plan.save(tmp_path / "plan")
    stored = SavedPlan.load(tmp_path / "plan").report["candidates"]
    assert [c["contact_error"] for c in stored] == [
        {finger: pytest.approx(error, abs=1e-5) for finger, error in c.contact_error.items()} for c in plan.candidates
    ]


def test_a_plan_carries_where_the_text_wants_the_hand(planner, plan, tmp_path):
    """As the model tells; a checkpoint without a map tells nothing."""
    told = planner._model.touch_map(plan.geometry.points, TEXT)
    assert (plan.touch is None) == (told is None) == (plan.grasps.agreement is None)
    if told is not None:
        assert np.array_equal(plan.touch, told.numpy()) and plan.touch.shape == (len(plan.object_points),)
    chance = np.linspace(0.0, 1.0, len(plan.object_points), dtype=np.float32)
    for name, known in (("told", chance), ("untold", None)):
        replace(plan, touch=known).save(tmp_path / name)
        saved = SavedPlan.load(tmp_path / name).touch
        assert saved is None if known is None else np.array_equal(saved, chance)


def _without_timings(plan):
    return {key: value for key, value in plan.report().items() if key != "timings_ms"}


def test_same_seed_same_report_and_other_seed_other_grasp(planner, cloud, plan):
    assert _without_timings(planner.plan(cloud, TEXT, seed=3)) == _without_timings(plan)
    other = planner.plan(cloud, TEXT, seed=4)
    assert other.seed == 4 and other.report()["grasp"]["joints"] != plan.report()["grasp"]["joints"]


@pytest.mark.parametrize(
    ("costs", "kept"),
    [
        ([0.009], 0.009),
        ([0.3, 0.009], 0.009),
        ([0.02, 0.3, 0.1], 0.02),
        ([0.3, 0.1, 0.2], 0.1),
        ([None, 0.3, 0.2], 0.2),
        ([None] * 3, None),
        ([(0.004, 0.4), (0.005, 0.6)], 0.005),  # that hardly agrees with the text
        ([(0.004, 0.4), (0.002, 0.3), (0.02, 0.9)], 0.02),
    ],
)
def test_other_grasps_are_drawn_while_the_best_is_doubtful(planner, cloud, plan, monkeypatch, costs, kept):
    waiting = [each if isinstance(each, tuple) else (each, 1.0) for each in costs]

    def finish(*_):
        cost, agreement = waiting.pop(0)
        told = {"cost": 9.0 if cost is None else cost, "confidence": 0.95, "agreement": agreement}
        candidates = tuple(replace(candidate, **told) for candidate in plan.candidates)
        return replace(plan, candidates=candidates, trajectory=None if cost is None else object())

    monkeypatch.setattr(planner, "_finish", finish)
    made = planner.plan(cloud, TEXT)
    assert waiting == []  # as many draws as were needed
    assert made.ok == (kept is not None) and made.candidates[0].cost == (kept or 9.0)


@pytest.mark.parametrize(
    ("reasons", "draws"),
    [
        (["workspace: link_eef is at x = 0.8 m"] * 4, 1),
        (["workspace: link_eef is at x = 0.8 m"] * 3 + ["grasp: 60 % of the squeeze stay unbalanced"], 1),
        (["workspace: link_eef is at x = 0.8 m"] * 3 + ["table collision: hand and table"], 3),
        (["workspace: link_eef is at x = 0.8 m"] + ["grasp: 60 % of the squeeze stay unbalanced"] * 3, 3),
        ([""] * 4, 3),
    ],
)
def test_where_the_object_is_out_of_reach_no_others_are_drawn(planner, cloud, plan, monkeypatch, reasons, draws):
    verdicts = [replace(c, reason=reason) for c, reason in zip(plan.candidates, reasons, strict=True)]
    made = []

    def finish(*_):
        made.append(replace(plan, candidates=tuple(verdicts), trajectory=None))
        return made[-1]

    monkeypatch.setattr(planner, "_finish", finish)
    planner.plan(cloud, TEXT)
    assert len(made) == draws


@pytest.mark.parametrize("parts", [("ring",), ("thumb", "little")])
def test_resampling_leaves_all_else_bitwise_as_it_was(planner, plan, parts):
    edited = planner.resample(plan, parts, text="hold the mug with another finger", seed=8)
    decided(edited)
    shadow = HandModel.load("shadow")
    mine = torch.tensor([shadow.part_names[int(part)] in parts for part in shadow.joint_part])
    before, after = plan.grasps, edited.grasps
    assert mine.sum() in (4, 10)
    for row in range(len(after.joints)):
        assert torch.equal(after.joints[row, ~mine], before.joints[plan.chosen, ~mine])
        assert torch.equal(after.palm_rotation[row], before.palm_rotation[plan.chosen])
        assert torch.equal(after.palm_translation[row], before.palm_translation[plan.chosen])
    assert (after.joints[:, mine] - before.joints[plan.chosen, mine]).abs().max() > 1e-3
    assert edited.text == "hold the mug with another finger" and edited.seed == 8


def test_resampling_holds_the_target_hand_too(planner, plan):
    target, before = HandModel.load("freedom_v2"), plan.candidates[plan.chosen]
    other = np.array([target.part_names[int(part)] != "ring" for part in target.joint_part])
    for after in planner.resample(plan, ("ring",), seed=8).candidates:
        assert np.abs(after.palm_pose - before.palm_pose).max() < 1e-6
        assert np.abs((after.joints - before.joints)[other]).max() < 1e-6


def test_resampling_the_palm_keeps_the_fingers(planner, plan):
    edited = planner.resample(plan, ("palm",), seed=8)
    for row in range(len(edited.grasps)):
        assert torch.equal(edited.grasps.joints[row], plan.grasps.joints[plan.chosen])


def test_other_things_seen_are_obstacles_but_the_robot_and_the_table_are_not(planner, plan):
    robot, start = planner._robot, plan.start
    arm = robot.arm_points(np.asarray(start.arm_positions))
    table = np.array([[0.5, 0.3, plan.scene.table_height + 0.005]])
    neighbour = np.array([[0.5, 0.3, plan.scene.table_height + 0.1]])
    seen = np.concatenate([arm[2:], table, neighbour]).astype(np.float32)
    world = robot.world(dataclasses.replace(plan.scene, scene_points=seen), start)
    assert np.allclose(world.obstacle_points, neighbour, atol=1e-6)


def test_a_wall_before_the_object_is_not_driven_through(planner, plan):
    middle = np.asarray(plan.scene.object_centroid, np.float64)
    angle, height = np.meshgrid(np.linspace(0, 2 * np.pi, 60), np.linspace(0.03, 0.5, 30))
    ring = np.stack([np.cos(angle), np.sin(angle), height], -1).reshape(-1, 3) * [0.13, 0.13, 1] + [*middle[:2], 0]
    walled = dataclasses.replace(plan, scene=dataclasses.replace(plan.scene, scene_points=ring.astype(np.float32)))
    verdict = planner.verdict(walled, plan.start)
    assert not verdict.ok and any(reason.startswith("obstacle collision") for reason in verdict.reasons)


def test_resampling_keeps_text_and_tokens_of_other_parts(planner, plan):
    edited = planner.resample(plan, ("ring",))
    kept = [index for index, name in enumerate(HandModel.load("shadow").part_names) if name != "ring"]
    assert edited.text == plan.text
    assert (edited.grasps.tokens[:, kept] == plan.grasps.tokens[plan.chosen, kept]).all()


def test_unknown_part_lists_the_known_ones(planner, plan):
    with pytest.raises(UsageError, match="part 'pinky' is unknown; known: index, little, middle, palm"):
        planner.resample(plan, ("pinky",))


def test_cancelling_stops_between_stages(planner, cloud):
    seen = []
    with pytest.raises(PlanCancelled):
        planner.plan(cloud, TEXT, should_cancel=lambda: "segment" in seen, on_stage=seen.append)
    assert seen == ["text", "segment"]
    with pytest.raises(PlanCancelled):
        planner.plan(cloud, TEXT, should_cancel=lambda: True, on_stage=seen.append)
    assert seen == ["text", "segment"]


def test_stages_are_told_in_order(planner, cloud):
    seen = []
    planner.plan(cloud, TEXT, on_stage=seen.append, should_cancel=lambda: False)
    draws = len(seen) // len(STAGES[3:])  # a doubtful grasp has the last four stages run again
    assert seen == STAGES[:3] + STAGES[3:] * draws


def _turned(state, joint, angle):
    arm = np.array(state.arm_positions)
    arm[joint] += angle
    return RobotState(state.arm_joint_names, arm, state.hand_joint_names, state.hand_positions)


def test_verdict_refuses_once_the_robot_has_moved(planner, plan):
    assert plan.ok, plan.reason
    assert planner.verdict(plan, plan.start).ok
    verdict = planner.verdict(plan, _turned(plan.start, 2, 0.2))
    assert not verdict.ok and any("start" in reason for reason in verdict.reasons), verdict.reasons


def test_a_plan_starts_where_the_robot_stands(planner, cloud, plan):
    state = _turned(plan.start, 0, 0.15)
    other = planner.plan(cloud, TEXT, state)
    assert np.array_equal(other.start.arm_positions, state.arm_positions)
    if other.ok:
        assert np.abs(other.trajectory.arm.positions[0] - state.arm_positions).max() < 0.02
        assert planner.verdict(other, state).ok and not planner.verdict(other, plan.start).ok


def test_an_object_out_of_reach_is_rejected_with_reasons(planner, cloud):
    away = np.array(cloud.base_from_camera)
    away[0, 3] += 0.5
    plan = planner.plan(replace(cloud, base_from_camera=away), TEXT)
    assert plan.status == "rejected" and plan.trajectory is None
    decided(plan)
    assert [candidate.verdict for candidate in plan.candidates] == ["rejected"] * 4
    assert plan.report()["trajectory"] is None and json.dumps(plan.report(), allow_nan=False)
    verdict = planner.verdict(plan, plan.start)
    assert not verdict.ok and verdict.reasons == (plan.reason,)


def test_object_near_chooses_among_several():
    meshes = [table(), placed(box(), 0.42, 0.14), placed(cup(), 0.42, -0.12)]
    cloud, _ = capture(meshes, camera(45.0))
    chooser = Planner(PlannerConfig(samples=2, seed=0, object_near=(0.42, 0.14, 0.05)))
    for y, asked in ((0.14, None), (-0.12, np.array([0.42, -0.12, 0.05]))):
        plan = chooser.plan(cloud, "lift it", object_near=asked)
        assert np.abs(np.asarray(plan.scene.object_centroid)[:2] - [0.42, y]).max() < 0.03


# ------------------------------------------------------------------ bad input
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"hand": "leep"}, HandError, "hand 'leep' is unknown; known: .*freedom_v2"),
        ({"arm": "xarm9"}, RobotError, "xarm9"),
        ({"checkpoint": "/nowhere"}, CheckpointError, "/nowhere"),
    ],
)
def test_unknown_robots_and_checkpoints_are_named(change, error, message):
    with pytest.raises(error, match=message):
        Planner(PlannerConfig(**change))


@pytest.mark.parametrize("change", [{"samples": 0}, {"samples": 257}, {"speed_scale": 0.0},
                                    {"speed_scale": 1.5}])  # fmt: skip
def test_values_out_of_range_are_named(change):
    (name, value) = next(iter(change.items()))
    with pytest.raises(ConfigError, match=f"{name} {value} is out of range; expected"):
        PlannerConfig(**change)


def test_a_speed_of_nothing_is_named_and_not_taken_for_the_usual_one(planner, cloud):
    with pytest.raises(ConfigError, match=r"speed_scale 0\.0 is out of range"):
        planner.plan(cloud, TEXT, speed_scale=0.0)


@pytest.mark.parametrize("text", ["", "   "])
def test_empty_texts_are_refused(planner, cloud, text):
    with pytest.raises(TextError):
        planner.plan(cloud, text)


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.full((500, 3), np.nan), np.zeros((1, 3))])
def test_clouds_without_a_scene_are_refused(planner, points):
    with pytest.raises(CloudError):
        planner.plan(Cloud(points.astype(np.float32), base_from_camera=np.eye(4)), TEXT)
