"""The node while the robot moves: cancel, deactivate, a second client; controllers and MoveIt that answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")

from action_worlds import RealWorld, Server, has_package
from fake_planner_node import ARM, HAND
from ros_support import CAMERA_POSE, Client, cloud_message, node_command, process

from maskdex_ros.environment import free_domain_id, ros_environment

HOME = dict.fromkeys((*ARM, *HAND), 0.1)
TOPICS = ("/arm_controller/joint_trajectory", "/hand_controller/joint_trajectory")
NO_CONTROL = pytest.mark.skipif(not has_package("control_msgs"), reason="control_msgs: ROS distributions only")
NO_MOVEIT = pytest.mark.skipif(not has_package("moveit_msgs"), reason="moveit_msgs: ROS distributions only")


@contextmanager
def running_node(*parameters: str, domain_id: int | None = None) -> Iterator[Client]:
    domain_id = free_domain_id() if domain_id is None else domain_id
    # A busy machine must not make a joint state or a cloud old.
    command = node_command(*parameters, *CAMERA_POSE, "joint_state_max_age:=60.0", "max_cloud_age:=60.0")
    with process(command, ros_environment(domain_id)):
        client = Client(domain_id)
        try:
            client.listen_to_node()
            yield client
        finally:
            client.close()


def activate(client: Client) -> None:
    client.spin_until(lambda: client.state() == "active", 30.0, "the active state")


def plan(client: Client, text: str) -> None:
    client.stand_at(HOME)
    client.publish(cloud_message(), "/points")
    assert client.next_report(lambda: client.say(text), 20.0)["status"] == "ok"


def stages(client: Client) -> list[str]:
    return [message.data for message in client.heard["/maskdex/stage"]]


def diagnosis(client: Client) -> dict[str, str]:
    heard = client.heard["/diagnostics"]
    if not heard:
        return {}
    status = heard[-1].status[0]
    return {"": status.message, **{pair.key: pair.value for pair in status.values}}


def test_cancel_and_deactivate_stop_the_robot_on_its_way_and_a_second_client_waits() -> None:
    with running_node("autostart:=true") as client:
        activate(client)
        for stop in (lambda: client.trigger("cancel").success, lambda: client.change_state("deactivate")):
            before = [len(client.heard[topic]) for topic in TOPICS]
            plan(client, "a long way")
            assert client.trigger("execute").success
            assert "still moving" in client.trigger("execute").message
            client.spin_until(lambda: diagnosis(client).get("motion") == "moving", what="the motion in diagnostics")
            client.stand_at(HOME)
            assert stop()
            client.spin_until(
                lambda before=before: [len(client.heard[topic]) for topic in TOPICS] == [n + 2 for n in before],
                what="the trajectories to rest",
            )
            for topic in TOPICS:
                sent, brake = client.heard[topic][-2:]
                assert brake.joint_names == sent.joint_names
                assert not np.any(brake.points[-1].velocities)
                assert brake.points[-1].positions[0] <= sent.points[-1].positions[0] + 1e-6
            client.spin_until(lambda: stages(client)[-2:] == ["stopping", "at rest"], what="the stop told")
        assert client.change_state("activate")
        assert "no plan to execute" in client.trigger("execute").message


@pytest.mark.parametrize(
    ("output", "package"), [("follow_joint_trajectory", "control_msgs"), ("moveit", "moveit_msgs")]
)
def test_an_output_without_its_package_is_refused_at_configure(output: str, package: str) -> None:
    if has_package(package):
        pytest.skip(f"{package} is installed")
    with running_node(f"output:={output}") as client:
        assert not client.change_state("configure", 30.0)
        client.spin_until(client.reports, what="a report")
        reason = client.reports()[-1]["reason"]
        assert f"output '{output}' needs {package}, which is not installed" in reason
        assert f"-{package.replace('_', '-')}" in reason
        assert client.set_parameters(output="joint_trajectory")[0].successful
        assert client.change_state("configure", 30.0)


@NO_CONTROL
def test_the_controllers_answers_reach_the_client_and_the_diagnostics() -> None:
    from control_msgs.action import FollowJointTrajectory

    def follows(message: Any) -> None:
        message.joint_names, message.error.positions = list(ARM), [0.002] * len(ARM)
        message.desired.time_from_start.sec = 3

    world = RealWorld(domain := free_domain_id())
    arm = world.serve(FollowJointTrajectory, "arm_controller/follow_joint_trajectory", Server(end="hold"))
    hand = world.serve(FollowJointTrajectory, "hand_controller/follow_joint_trajectory", Server(end="hold"))
    arm.feedback = follows
    try:
        with running_node("autostart:=true", "output:=follow_joint_trajectory", domain_id=domain) as client:
            activate(client)
            plan(client, "a long way")
            answer = client.trigger("execute")
            assert answer.success, answer.message
            client.spin_until(lambda: "0.002 rad off" in diagnosis(client).get("motion", ""), what="the feedback")
            assert client.trigger("cancel").success
            client.spin_until(lambda: (arm.cancelled, hand.cancelled) == (1, 1), what="both goals cancelled")
            client.spin_until(lambda: diagnosis(client).get("motion") == "at rest", what="rest")
            assert "cancelled on its way" in diagnosis(client)[""]
            hand.accept = False
            plan(client, "a long way")
            answer = client.trigger("execute")
            assert answer.message == "hand_controller/follow_joint_trajectory rejected the goal"
            client.spin_until(lambda: arm.cancelled == 2, what="the arm's goal cancelled")
            client.spin_until(lambda: "rejected the goal" in diagnosis(client).get("", ""), what="the reason")
            hand.accept, hand.end, arm.end = True, "succeed", "succeed"
            answer = client.trigger("execute")
            assert answer.success, f"a plan that was rejected may be tried again: {answer.message}"
            client.spin_until(
                lambda: stages(client).count("moving") == 2 and stages(client)[-1] == "at rest", what="the arrival"
            )
            assert "sent already" in client.trigger("execute").message
    finally:
        world.close()


@NO_MOVEIT
def test_moveit_runs_the_plan_and_plan_grasps_answers() -> None:
    from moveit_msgs.action import ExecuteTrajectory, MoveGroup
    from moveit_msgs.msg import DisplayTrajectory, PlanningScene
    from moveit_msgs.srv import GraspPlanning

    def succeeded(result: Any) -> None:
        result.error_code.val = 1

    world = RealWorld(domain := free_domain_id())
    move = world.serve(MoveGroup, "move_action", Server(result=succeeded))
    execute = world.serve(ExecuteTrajectory, "execute_trajectory", Server(result=succeeded))
    try:
        with running_node("autostart:=true", "output:=moveit", domain_id=domain) as client:
            activate(client)
            client.listen(PlanningScene, "/planning_scene")
            client.listen(DisplayTrajectory, "/display_planned_path", latched=True)
            client.spin_for(0.5)
            plan(client, "pick up the mug")
            client.spin_until(lambda: client.heard["/planning_scene"] and client.heard["/display_planned_path"])
            answer = client.trigger("execute")
            assert answer.success, answer.message
            client.spin_until(lambda: len(execute.goals) == 3, what="approach, close and lift")
            assert [goal.request.group_name for goal in move.goals] == ["hand", "xarm7"]
            client.spin_until(lambda: "at rest" in stages(client), what="the arrival")
            client.stand_at(HOME)
            client.publish(cloud_message(), "/points")
            found = client.call(GraspPlanning, "/plan_grasps", GraspPlanning.Request(group_name="xarm7"))
            assert found.error_code.val == 1
            assert [grasp.id for grasp in found.grasps] == ["grasp_0"]
    finally:
        world.close()
