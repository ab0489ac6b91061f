"""The node from outside: its own process, a client in another, real topics between them."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")

from fake_planner_node import ARM, HAND
from ros_support import CAMERA_POSE, Client, cloud_message, node_command, process
from running_node import HOME, active_node, diagnostic_values, last_problem, running_node, stages, trajectories

from maskdex_ros.environment import free_domain_id, ros_environment


@pytest.fixture
def node() -> Iterator[Client]:
    with active_node() as client:
        yield client


def test_lifecycle_from_configure_to_shutdown() -> None:
    with running_node(*CAMERA_POSE) as client:
        assert client.state() == "unconfigured"
        answer = client.trigger("plan")
        assert not answer.success
        assert "no task text" in answer.message
        assert client.change_state("configure")
        assert client.state() == "inactive"
        assert not client.change_state("cleanup2")
        assert client.change_state("activate")
        client.stand_at(HOME)
        client.publish(cloud_message(), "/points")
        report = client.next_report(lambda: client.say("pick up the mug"))
        assert (report["status"], report["text"]) == ("ok", "pick up the mug")
        client.spin_until(lambda: client.heard["/maskdex/markers"] and client.heard["/maskdex/grasp_poses"])
        kinds = {marker.ns for marker in client.heard["/maskdex/markers"][0].markers}
        assert {"hand", "approach", "ghosts", "reasons", "task"} <= kinds
        texts = [marker.text for marker in client.heard["/maskdex/markers"][0].markers if marker.text]
        assert any("palm below the table" in text for text in texts)
        assert len(client.heard["/maskdex/grasp_poses"][0].poses) == 1
        client.set_parameters(edit__parts=["ring"])
        assert client.trigger("resample").success
        client.spin_until(lambda: client.reports()[-1].get("resampled") == ["ring"], what="the resampled plan")
        assert client.change_state("deactivate")
        assert not client.trigger("resample").success
        assert client.change_state("cleanup")
        assert client.change_state("configure")
        assert client.change_state("shutdown")


def test_shutdown_transition_ends_the_process_with_0() -> None:
    domain_id = free_domain_id()
    with process(node_command(), ros_environment(domain_id)) as child:
        client = Client(domain_id)
        try:
            client.listen_to_node()
            assert client.change_state("configure")
            assert client.change_state("shutdown")
            assert child.wait(40) == 0
        finally:
            client.close()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_a_plan_ends_the_process_with_0(ending: signal.Signals) -> None:
    domain_id = free_domain_id()
    command = node_command("autostart:=true", *CAMERA_POSE, "assume_home:=true")
    with process(command, ros_environment(domain_id)) as child:
        client = Client(domain_id)
        try:
            client.listen_to_node()
            client.publish(cloud_message(), "/points")
            client.say("slow work")
            client.spin_until(lambda: client.heard["/maskdex/stage"], what="a stage")
            child.send_signal(ending)
            assert child.wait(40) == 0, child.stdout.read() if child.stdout else ""
        finally:
            client.close()


def test_execute_sends_checked_trajectories_only_from_the_start_of_the_plan(node: Client) -> None:
    node.publish(cloud_message(), "/points")
    node.next_report(lambda: node.say("pick up the mug"))
    assert "no joint_states" in node.trigger("execute").message
    node.stand_at(HOME)
    node.next_report(lambda: node.trigger("plan"))
    node.stand_at({**HOME, "joint3": 0.3})
    assert "joint3 is 0.200 rad away" in node.trigger("execute").message
    assert trajectories(node) == 0
    node.stand_at(HOME)
    answer = node.trigger("execute")
    assert answer.success, answer.message
    node.spin_until(lambda: trajectories(node) == 2, what="both trajectories")
    message = node.heard["/arm_controller/joint_trajectory"][0]
    assert tuple(message.joint_names) == ARM
    times = [point.time_from_start.sec + 1e-9 * point.time_from_start.nanosec for point in message.points]
    assert times[0] > 0.0
    assert np.all(np.diff(times) > 0)
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (0, 0)
    assert all(len(point.effort) == 0 for point in message.points)
    assert not np.any(message.points[-1].velocities)
    assert "still moving" in node.trigger("execute").message
    node.spin_until(lambda: "at rest" in stages(node), what="the end of the motion")
    assert "sent already" in node.trigger("execute").message
    assert trajectories(node) == 2


def test_execute_parameter_sends_without_being_asked_but_never_an_unsafe_trajectory(node: Client) -> None:
    node.set_parameters(execute=True)
    node.publish(cloud_message(), "/points")
    node.stand_at(HOME)
    for text, expected in (("unsafe motion", "still moves"), ("blocked motion", "the arm would touch it")):
        assert node.next_report(lambda text=text: node.say(text))["status"] == "ok"
        node.spin_until(lambda expected=expected: expected in last_problem(node), what=expected)
        assert trajectories(node) == 0
    node.stand_at(HOME)
    node.next_report(lambda: node.say("pick up the mug"))
    node.spin_until(lambda: trajectories(node) == 2, what="both trajectories")


def test_busy_is_an_answer_and_cancel_frees_the_planner(node: Client) -> None:
    node.publish(cloud_message(), "/points")
    node.say("slow work")
    node.spin_until(lambda: node.heard["/maskdex/stage"], what="a stage")
    first = node.trigger_async("plan")
    assert "busy with 'slow work'" in node.wait(first).message
    waiting = node.trigger_async("cancel")
    assert node.wait(waiting).success
    node.spin_until(lambda: node.reports() and "cancelled" in node.reports()[-1]["reason"], what="the cancellation")
    assert "nothing to cancel" in node.trigger("cancel").message
    assert node.next_report(lambda: node.say("pick up the mug"))["status"] == "ok"


def test_services_answer_while_a_plan_runs_and_the_plan_answers_when_done(node: Client) -> None:
    node.publish(cloud_message(), "/points")
    node.next_report(lambda: node.say("pick up the slow mug"))
    node.publish(cloud_message(), "/points")
    planning = node.trigger_async("plan")
    node.spin_for(0.3)
    assert node.state() == "active"
    assert not planning.done()
    answer = node.wait(planning)
    assert (answer.success, answer.message) == (True, "1 of 2 candidates is safe")


BAD_CLOUDS = {
    "empty": (lambda: cloud_message(np.zeros((0, 3))), "0 points"),
    "all NaN": (lambda: cloud_message(np.full((500, 3), math.nan)), "none is valid"),
    "one point": (lambda: cloud_message(np.ones((1, 3))), "1 valid point"),
    "integer coordinates": (lambda: _with_field_type(cloud_message(), 5), "int32"),
    "data too short": (lambda: _cut(cloud_message()), "bytes"),
    "no z": (lambda: _renamed(cloud_message()), "no field z"),
}


def _with_field_type(message, datatype):
    for field in message.fields:
        field.datatype = datatype
    return message


def _cut(message):
    message.data = message.data[:100]
    return message


def _renamed(message):
    message.fields[2].name = "depth"
    return message


def _big_endian(message):
    swapped = np.frombuffer(message.data, "<f4").astype(">f4")
    message.data = swapped.tobytes()
    message.is_bigendian = True
    return message


def test_bad_clouds_give_one_sentence_and_the_node_goes_on(node: Client) -> None:
    for name, (make, expected) in BAD_CLOUDS.items():
        node.publish(make(), "/points")
        report = node.next_report(lambda: node.say("pick up the mug"))
        assert report["status"] == "error", name
        assert expected in report["reason"], name
        assert "\n" not in report["reason"], name
    node.publish(_big_endian(cloud_message()), "/points")
    assert node.next_report(lambda: node.say("pick up the mug"))["status"] == "ok"
    assert trajectories(node) == 0


@pytest.mark.parametrize("text", ["", "   ", "x" * 10_000, "crash", "reject"])
def test_bad_texts_give_one_sentence_and_the_node_goes_on(node: Client, text: str) -> None:
    node.publish(cloud_message(), "/points")
    report = node.next_report(lambda: node.say(text))
    expected = {"": "empty", "   ": "empty", "crash": "internal error", "reject": "out of reach"}
    assert expected.get(text, "10000 characters") in report["reason"]
    assert report["status"] == ("rejected" if text == "reject" else "error")
    assert node.next_report(lambda: node.say("pick up the mug"))["status"] == "ok"
    assert trajectories(node) == 0


def test_a_text_waits_for_the_first_cloud_and_is_refused_without_one(node: Client) -> None:
    node.set_parameters(cloud_timeout=0.5)
    assert "no cloud received yet" in node.next_report(lambda: node.say("pick up the mug"))["reason"]
    node.set_parameters(cloud_timeout=5.0)
    node.say("pick up the cup")
    report = node.next_report(lambda: node.publish(cloud_message(), "/points"))
    assert (report["status"], report["text"]) == ("ok", "pick up the cup")


def test_a_newer_text_answers_the_one_that_waits_for_a_cloud(node: Client) -> None:
    node.set_parameters(cloud_timeout=600.0)
    node.say("pick up the cup")
    report = node.next_report(lambda: node.say("pick up the mug"))
    assert (report["text"], report["reason"]) == ("pick up the cup", "a newer text came before a cloud did")
    report = node.next_report(lambda: node.publish(cloud_message(), "/points"))
    assert (report["status"], report["text"]) == ("ok", "pick up the mug")


def test_cancel_reaches_a_text_that_waits_for_a_cloud(node: Client) -> None:
    node.set_parameters(cloud_timeout=30.0)
    node.say("pick up the cup")
    report = node.next_report(lambda: node.spin_until(lambda: node.trigger("cancel").success, what="the cancellation"))
    assert (report["reason"], report["text"]) == ("the plan was cancelled", "pick up the cup")
    assert len(node.reports()) == 1
    node.publish(cloud_message(), "/points")
    assert len(node.reports()) == 1


def test_speed_and_object_follow_their_parameters_and_the_robot_stays_what_was_configured(node: Client) -> None:
    node.publish(cloud_message(), "/points")
    report = node.next_report(lambda: node.say("pick up the mug"))
    assert (report["speed_scale"], report["object_near"]) == (0.3, None)
    for result in node.set_parameters(speed_scale=0.1, object_near=[0.4, 0.0, 0.05]):
        assert result.successful
    report = node.next_report(lambda: node.say("pick up the mug"))
    assert (report["speed_scale"], report["object_near"]) == (0.1, [0.4, 0.0, 0.05])
    for values in ({"hand": "shadow"}, {"arm": "ur5"}, {"checkpoint": "x"}, {"samples": 2}, {"threads": 1}):
        result = node.set_parameters(**values)[0]
        assert not result.successful
        assert "is read at configure" in result.reason
    assert node.set_parameters(hand="freedom_v2")[0].successful  # nothing changes
    assert node.change_state("deactivate")
    assert node.change_state("cleanup")
    assert node.set_parameters(samples=2)[0].successful


def test_a_base_frame_that_is_not_the_arms_is_refused_and_points_may_be_remapped() -> None:
    with running_node("base_frame:=world", *CAMERA_POSE, remap=("points:=/camera/points",)) as client:
        assert not client.change_state("configure")
        client.spin_until(client.reports, what="a report")
        assert "'base_frame' is 'world'; valid: 'link_base'" in client.reports()[-1]["reason"]
        assert client.set_parameters(base_frame="link_base")[0].successful
        assert client.change_state("configure")
        assert client.change_state("activate")
        client.publish(cloud_message(), "/camera/points")
        client.spin_until(
            lambda: diagnostic_values(client).get("publishers on points") == "1", what="the publisher counted"
        )


def test_missing_camera_pose_and_missing_joint_states_are_refused() -> None:
    with running_node("autostart:=true") as client:
        client.publish(cloud_message(), "/points")
        assert "no joint_states" in client.next_report(lambda: client.say("pick up the mug"))["reason"]
        client.stand_at({name: 0.0 for name in ARM})
        assert "lack finger1, finger2" in client.next_report(lambda: client.say("pick up the mug"))["reason"]
        client.stand_at({name: 0.0 for name in HAND})
        client.stand_at({name: 0.0 for name in ARM})
        reason = client.next_report(lambda: client.say("pick up the mug"))["reason"]
        assert "'camera' in 'link_base' is unknown" in reason
        client.set_parameters(assume_extrinsics=True)
        client.stand_at({name: 0.0 for name in (*ARM, *HAND)})
        assert client.next_report(lambda: client.say("pick up the mug"))["status"] == "ok"
        assert "derived from the table" in client.trigger("execute").message
        assert trajectories(client) == 0


def test_a_planner_that_cannot_load_leaves_the_node_unconfigured_with_a_reason() -> None:
    with running_node("hand:=leep") as client:
        assert not client.change_state("configure")
        assert client.state() == "unconfigured"
        client.spin_until(client.reports, what="a report")
        assert client.reports()[-1]["reason"].startswith("hand 'leep' is unknown")
        assert client.set_parameters(hand="freedom_v2")[0].successful
        assert client.change_state("configure")


def test_a_parameter_out_of_range_is_refused_with_the_valid_range(node: Client) -> None:
    for values, expected in (
        ({"seed": -2}, "valid: -1 to 2147483647"),
        ({"edit__parts": ["toe"]}, "known: index, little, middle, palm, ring, thumb"),
        ({"points_reliability": "sometimes"}, "known: auto, best_effort, reliable"),
    ):
        result = node.set_parameters(**values)[0]
        assert not result.successful
        assert expected in result.reason


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ("samples:=0", "parameter 'samples' is 0; valid: 1 to 256"),
        ("base_from_camera.translation:=[0,0,1]", "expected numbers with a decimal point"),
        ("edit.parts:=[toe]", "known: index, little, middle, palm, ring, thumb"),
    ],
)
def test_a_bad_parameter_at_start_ends_the_process_with_one_sentence(parameter: str, expected: str) -> None:
    with process(node_command(parameter), ros_environment(free_domain_id())) as child:
        assert child.wait(15) == 3
        log = child.stdout.read() if child.stdout else ""
    assert expected in log
    assert "Traceback" not in log
