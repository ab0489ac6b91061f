"""The way through MoveIt: against fakes of both message versions always, against real messages where they are."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")

import fake_ros_packages
from action_worlds import FakeWorld, RealWorld, Server, has_package

from maskdex_core.errors import RobotError
from maskdex_core.motion.types import JointTrajectory, RobotState, RobotTrajectory
from maskdex_ros.environment import free_domain_id
from maskdex_ros.outputs import make_output, moveit_goals, moveit_scene
from maskdex_ros.outputs.output import CANCELLED, Events
from maskdex_ros.parameters import NodeParameters

ARM, HAND, LINKS = ("joint1", "joint2"), ("finger",), ("palm", "tip")
PARAMETERS = NodeParameters(output="moveit", moveit_hand_group="fingers")
STEP = 0.1


@dataclass
class Names:
    base_frame: str = "link_base"
    tip_frame: str = "link_eef"
    arm_group: str = "xarm7"
    hand_links: tuple[str, ...] = LINKS
    tip_from_palm: np.ndarray = field(default_factory=lambda: np.eye(4))


def trajectory() -> RobotTrajectory:
    """Transit of arm and hand, then approach and lift of the arm and closing of the hand, 0.5 s each."""
    times = np.arange(1, 21) * STEP
    ramp = np.linspace(0.2, 1.0, 5)
    arm, hand = np.zeros((20, 2)), np.zeros((20, 1))
    arm[:5, 0], arm[5:, 0] = ramp, 1.0
    arm[5:10, 1], arm[10:, 1] = ramp, 1.0
    hand[:5, 0], hand[5:10, 0], hand[10:15, 0], hand[15:, 0] = 0.3 * ramp, 0.3, 0.3 + 0.5 * ramp, 0.8
    arm[15:, 0] += 0.2 * ramp
    phases = {"transit": (0.0, 0.5), "approach": (0.5, 1.0), "close": (1.0, 1.5), "lift": (1.5, 2.0)}
    parts = [
        JointTrajectory(names, times, positions, np.zeros_like(positions), np.zeros_like(positions))
        for names, positions in ((ARM, arm), (HAND, hand))
    ]
    return RobotTrajectory(*parts, phases)


def plan(ok: bool = True, assumed: bool = False) -> SimpleNamespace:
    rng = np.random.default_rng(0)
    return SimpleNamespace(
        object_points=rng.uniform((0.35, -0.05, 0.01), (0.45, 0.05, 0.11), (200, 3)),
        scene=SimpleNamespace(table_height=0.01, extrinsics_assumed=assumed),
        trajectory=trajectory() if ok else None,
        start=RobotState(ARM, np.zeros(2), HAND, np.zeros(1)),
    )


@pytest.fixture(params=["newer fakes", "older fakes", "real"])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    if request.param == "real":
        if not has_package("moveit_msgs"):
            pytest.skip("moveit_msgs comes with ROS distributions only")
        made: Any = RealWorld(free_domain_id())
        msg = importlib.import_module("moveit_msgs.msg")
        made.listen(msg.PlanningScene, "planning_scene")
        made.listen(msg.DisplayTrajectory, "display_planned_path")
    else:
        made = FakeWorld()
        packages = fake_ros_packages.moveit_packages(newer=request.param == "newer fakes")
        fake_ros_packages.install(monkeypatch, packages)
        monkeypatch.setattr("rclpy.action.ActionClient", made.client)
    yield made
    made.close()


class Bench:
    """The output before a move_group."""

    def __init__(self, world: Any, move: Server | None = None, execute: Server | None = None) -> None:
        actions = importlib.import_module("moveit_msgs.action")
        self.world = world
        self.accepted, self.progress, self.ended = [], [], []
        self.move = world.serve(actions.MoveGroup, "move_action", move or Server(result=succeeded))
        self.execute = world.serve(actions.ExecuteTrajectory, "execute_trajectory", execute or Server(result=succeeded))
        planner = SimpleNamespace(robot_names=Names())
        self.output = make_output(world.node, planner, PARAMETERS)
        if world.real:
            for publisher in (self.output._display, self.output._scene):
                publisher.on_activate(None)
                world.until(lambda publisher=publisher: publisher.get_subscription_count() > 0)
            world.until(lambda: self.output._move.server_is_ready() and self.output._execute.server_is_ready())

    @property
    def scenes(self) -> list[Any]:
        return self.world.published["planning_scene"]

    def start(self) -> None:
        events = Events(lambda: self.accepted.append(1), self.progress.append, self.ended.append)
        self.output.start(trajectory(), events)

    def end(self) -> str:
        self.world.until(lambda: self.ended)
        self.world.wait(0.3)
        self.output.destroy()
        assert len(self.ended) == 1
        return self.ended[0]


def succeeded(result: Any) -> None:
    result.error_code.val = 1


def failed(code: int, message: str = "") -> Any:
    def fill(result: Any) -> None:
        result.error_code.val = code
        if message and hasattr(result.error_code, "message"):
            result.error_code.message = message

    return fill


def joints(goal: Any) -> dict[str, float]:
    constraints = goal.request.goal_constraints[0].joint_constraints
    return {constraint.joint_name: constraint.position for constraint in constraints}


def test_moveit_does_the_transit_and_our_phases_follow_one_by_one(world: Any) -> None:
    bench = Bench(world)
    bench.output.show(plan())
    bench.start()
    assert bench.end() == ""
    assert len(bench.accepted) == 1
    hand, arm = bench.move.goals
    assert (hand.request.group_name, joints(hand)) == ("fingers", {"finger": pytest.approx(0.3)})
    assert (arm.request.group_name, joints(arm)) == ("xarm7", {"joint1": 1.0, "joint2": 0.0})
    assert arm.request.max_velocity_scaling_factor == pytest.approx(0.3)
    assert not arm.planning_options.plan_only
    assert {item.id for item in arm.planning_options.planning_scene_diff.world.collision_objects} == {
        moveit_scene.OBJECT,
        moveit_scene.TABLE,
    }
    approach, close, lift = (goal.trajectory.joint_trajectory for goal in bench.execute.goals)
    assert tuple(approach.joint_names) == tuple(lift.joint_names) == ARM
    assert tuple(close.joint_names) == HAND
    for message, start, end in ((approach, [1.0, 0.0], [1.0, 1.0]), (close, [0.3], [0.8]), (lift, [1, 1], [1.2, 1])):
        times = [point.time_from_start.sec + 1e-9 * point.time_from_start.nanosec for point in message.points]
        assert times == pytest.approx(np.arange(6) * STEP)
        assert list(message.points[0].positions) == pytest.approx(start)
        assert list(message.points[-1].positions) == pytest.approx(end)
    assert bench.progress[0] == "opening the hand"
    assert "lift" in bench.progress


def test_object_and_table_are_shown_and_the_object_moves_into_the_hand_and_out_again(world: Any) -> None:
    bench = Bench(world)
    bench.output.show(plan())
    bench.start()
    bench.world.until(lambda: bench.ended)
    bench.output.show(plan())
    world.until(lambda: len(bench.scenes) == 3)
    before, held, after = bench.scenes
    assert before.is_diff
    assert before.robot_state.is_diff
    assert not before.robot_state.attached_collision_objects
    (attached,) = held.robot_state.attached_collision_objects
    assert (attached.link_name, attached.object.id) == ("link_eef", moveit_scene.OBJECT)
    assert list(attached.touch_links) == list(LINKS)
    assert attached.object.operation == type(attached.object).ADD
    (freed,) = after.robot_state.attached_collision_objects
    assert freed.object.operation == type(freed.object).REMOVE
    bench.output.destroy()


def test_the_scene_has_the_objects_hull_and_a_table_that_spares_the_robots_stand(world: Any) -> None:
    shown = plan()
    scene = moveit_scene.scene_of(shown, "link_base")
    table, thing = scene.world.collision_objects
    assert {item.header.frame_id for item in (table, thing)} == {"link_base"}
    (mesh,) = thing.meshes
    corners = np.array([[corner.x, corner.y, corner.z] for corner in mesh.vertices])
    assert corners.min(axis=0) == pytest.approx(shown.object_points.min(axis=0))
    assert corners.max(axis=0) == pytest.approx(shown.object_points.max(axis=0))
    faces = np.array([triangle.vertex_indices for triangle in mesh.triangles], dtype=int)
    normals = np.cross(corners[faces[:, 1]] - corners[faces[:, 0]], corners[faces[:, 2]] - corners[faces[:, 0]])
    outward = corners[faces].mean(axis=1) - corners.mean(axis=0)
    assert (np.einsum("fi,fi->f", normals, outward) > 0).all()
    covered = _covered(table)
    assert all(covered(x, y) for x, y in ((0.5, 0.0), (0.0, 0.6), (-0.3, -1.0), (0.9, 0.9)))
    assert not any(covered(x, y) for x, y in ((0.0, 0.0), (0.15, -0.15)))
    boxes = zip(table.primitive_poses, table.primitives, strict=True)
    tops = [pose.position.z + box.dimensions[2] / 2 for pose, box in boxes]
    assert tops == pytest.approx([0.01] * 4)


def _covered(table: Any) -> Any:
    def covers(x: float, y: float) -> bool:
        return any(
            abs(x - pose.position.x) <= box.dimensions[0] / 2 and abs(y - pose.position.y) <= box.dimensions[1] / 2
            for pose, box in zip(table.primitive_poses, table.primitives, strict=True)
        )

    return covers


def test_the_whole_motion_is_displayed_from_where_the_robot_stood(world: Any) -> None:
    bench = Bench(world)
    bench.output.show(plan())
    world.until(lambda: world.published["display_planned_path"])
    (message,) = world.published["display_planned_path"]
    both = message.trajectory[0].joint_trajectory
    assert tuple(both.joint_names) == (*ARM, *HAND)
    assert len(both.points) == 21
    assert list(both.points[0].positions) == [0.0, 0.0, 0.0]
    assert list(message.trajectory_start.joint_state.name) == [*ARM, *HAND]
    bench.output.show(plan(ok=False))
    world.until(lambda: len(bench.scenes) == 2)
    assert len(world.published["display_planned_path"]) == 1
    bench.output.destroy()


def test_a_failed_plan_of_moveits_says_why_and_nothing_of_ours_follows(world: Any) -> None:
    bench = Bench(world, move=Server(end="abort", result=failed(-12)))
    bench.output.show(plan())
    bench.start()
    assert bench.end() == "opening the hand: move_action: the goal is in collision"
    assert not bench.execute.goals


def test_a_failed_execution_ends_the_sequence_with_what_moveit_says(world: Any) -> None:
    bench = Bench(world, execute=Server(end="abort", result=failed(-4, "arm did not follow")))
    bench.output.show(plan())
    bench.start()
    reason = bench.end()
    assert reason.startswith("approach: execute_trajectory: the controller failed")
    assert len(bench.execute.goals) == 1
    assert len(bench.scenes) == 1, "nothing was grasped, nothing is attached"


def test_stop_cancels_the_running_goal_and_no_other_begins(world: Any) -> None:
    bench = Bench(world, execute=Server(end="hold", result=failed(-7)))
    bench.output.show(plan())
    bench.start()
    world.until(lambda: bench.execute.goals)
    world.wait(0.2)
    bench.output.stop(trajectory)
    assert bench.end() == CANCELLED
    assert bench.execute.cancelled == 1
    assert len(bench.execute.goals) == 1


def test_stop_before_the_first_goal_is_accepted_ends_everything(world: Any) -> None:
    bench = Bench(world, move=Server(end="hold", result=failed(-7)))
    bench.output.show(plan())
    bench.start()
    bench.output.stop(trajectory)
    assert bench.end() == CANCELLED
    assert not bench.execute.goals


def test_what_cannot_be_run_is_refused_before_anything_is_sent(world: Any) -> None:
    bench = Bench(world)
    with pytest.raises(RobotError, match="was not shown"):
        bench.start()
    bench.output.show(plan(assumed=True))
    with pytest.raises(RobotError, match="was not shown"):
        bench.start()
    bench.output.show(plan())
    whole = trajectory()
    without = RobotTrajectory(whole.arm, whole.hand, {"transit": (0.0, 0.5)})
    with pytest.raises(RobotError, match="has no approach, close, lift"):
        bench.output.start(without, Events(lambda: None, bench.progress.append, bench.ended.append))
    bench.output.destroy()
    world.wait(0.2)
    assert not bench.move.goals


def test_a_phase_is_cut_out_with_only_what_moves_in_it() -> None:
    whole = trajectory()
    for name, names in (("approach", ARM), ("close", HAND), ("lift", ARM)):
        found = moveit_goals.phase(whole, name)
        assert found is not None
        part, start = found
        assert part.joint_names == names
        assert part.times == pytest.approx(np.arange(1, 6) * STEP)
        begin = round(whole.phases[name][0] / STEP)
        source = whole.arm if names == ARM else whole.hand
        assert np.array_equal(start, source.positions[begin - 1])
        assert np.array_equal(part.positions, source.positions[begin : begin + 5])
    still = RobotTrajectory(whole.arm, whole.hand, {**whole.phases, "wait": (1.4, 1.5)})
    part, _ = moveit_goals.phase(still, "wait") or (None, None)
    assert part is not None and part.joint_names == HAND
