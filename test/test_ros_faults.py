"""What goes wrong around the node: it says so on /diagnostics, recovers, and no stale or half plan leaves it."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")

from fake_planner_node import ARM, HAND, STAGES
from ros_support import CAMERA_POSE, Client, cloud_message, node_command, process

from maskdex_ros.environment import free_domain_id, ros_environment

HOME = dict.fromkeys((*ARM, *HAND), 0.1)
LENIENT = (*CAMERA_POSE, "joint_state_max_age:=60.0", "max_cloud_age:=60.0")
READY = ("autostart:=true", "assume_home:=true")


@contextmanager
def running_node(*parameters: str) -> Iterator[Client]:
    """Start an active node on a domain of its own; it must leave SIGINT with 0 and without a traceback."""
    domain_id = free_domain_id()
    with process(node_command(*READY, *parameters), ros_environment(domain_id)) as child:
        client = Client(domain_id)
        try:
            client.listen_to_node()
            client.spin_until(lambda: client.state() == "active", what="the active state")
            yield client
            child.send_signal(signal.SIGINT)
            assert child.wait(30) == 0
            assert "Traceback" not in (child.stdout.read() if child.stdout else "")
        finally:
            client.close()


@pytest.fixture(scope="module")
def shared_node() -> Iterator[Client]:
    """One node for many faults: it has to get over each of them."""
    with running_node(*LENIENT) as client:
        yield client


@pytest.fixture
def node(shared_node: Client) -> Client:
    plans_from_here(shared_node)
    return shared_node


def plans_from_here(client: Client) -> None:
    """Check that the node works as if nothing had been."""
    client.publish(cloud_message(), "/points")
    assert client.next_report(lambda: client.say("pick up the mug"))["status"] == "ok"


def news(client: Client) -> str:
    heard = client.heard["/diagnostics"]
    return heard[-1].status[0].message if heard else ""


def sent(client: Client) -> int:
    return sum(len(client.heard[f"/{part}_controller/joint_trajectory"]) for part in ("arm", "hand"))


def executes_nothing(client: Client) -> None:
    client.stand_at(HOME)
    answer = client.trigger("execute")
    assert not answer.success
    assert "there is no plan to execute" in answer.message
    assert sent(client) == 0


def test_a_camera_that_stalls_is_told_of_and_its_last_cloud_is_not_planned_on() -> None:
    with running_node(*CAMERA_POSE, "max_cloud_age:=0.6", "cloud_timeout:=0.3") as client:
        client.publish(cloud_message(), "/points")
        client.spin_until(lambda: "clouds have stopped" in news(client), what="the stall on /diagnostics")
        refused = client.next_report(lambda: client.say("pick up the mug"))
        assert refused["status"] == "error"
        assert "s old; at most 0.6 s is valid" in refused["reason"]
        client.set_parameters(max_cloud_age=60.0)
        plans_from_here(client)
        client.spin_until(lambda: news(client) == "ready", what="recovery on /diagnostics")


def test_tf_that_stops_is_told_of_and_planned_with_again_when_it_goes_on() -> None:
    pytest.importorskip("tf2_msgs", reason="no tf2_msgs: apt-get install ros-$ROS_DISTRO-tf2-msgs")
    from geometry_msgs.msg import TransformStamped
    from tf2_msgs.msg import TFMessage

    def see(client: Client, transforms_at: int, cloud_at: int) -> dict[str, Any]:
        """Publish a transform and a cloud of given times (s) and return what comes of a text."""
        moved = TransformStamped(child_frame_id="camera")
        moved.header.frame_id, moved.header.stamp.sec = "link_base", transforms_at
        moved.transform.rotation.x, moved.transform.rotation.w = 1.0, 0.0
        client.publish(TFMessage(transforms=[moved]), "/tf")
        cloud = cloud_message()
        cloud.header.stamp.sec = cloud_at
        client.publish(cloud, "/points")
        return client.next_report(lambda: client.say("pick up the mug"))

    with running_node("joint_state_max_age:=60.0", "max_cloud_age:=60.0") as client:
        assert see(client, 100, 100)["status"] == "ok"
        refused = see(client, 100, 107)  # the same transform again: the source stands still
        assert refused["status"] == "error"
        assert "7.00 s older than the cloud" in refused["reason"]
        client.spin_until(lambda: "older than the cloud" in news(client), what="the reason on /diagnostics")
        executes_nothing(client)
        assert see(client, 107, 107)["status"] == "ok"
        client.spin_until(lambda: news(client) == "ready", what="recovery on /diagnostics")


def test_clouds_whose_stamps_jump_back_are_told_of_and_planned_on(node: Client) -> None:
    for second in (100, 40):
        message = cloud_message()
        message.header.stamp.sec = second
        node.publish(message, "/points")
    node.spin_until(lambda: "stamps of the clouds jumped back by 60.00 s" in news(node), what="the jump")
    report = node.next_report(lambda: node.say("pick up the mug"))
    assert (report["status"], report["cloud"]["stamp_ns"]) == ("ok", 40 * 10**9)


def test_time_that_jumps_back_ends_the_plan_and_drops_what_was_heard() -> None:
    from rosgraph_msgs.msg import Clock

    def clock(second: int) -> Any:
        message = Clock()
        message.clock.sec = second
        return message

    with running_node(*LENIENT, "use_sim_time:=true", "cloud_timeout:=0.0") as client:
        # Active without a clock: the node's own timers do not wait for one.
        client.publish(clock(100), "/clock")
        client.publish(clock(105), "/clock")
        plans_from_here(client)
        client.say("hold refine")
        client.spin_until(lambda: "hold refine" in (_value(client, "working on") or ""), what="the plan")
        client.spin_until(lambda: _stage(client) == "refine", what="the stage")
        cancelled = client.next_report(lambda: client.publish(clock(20), "/clock"))
        assert (cancelled["status"], cancelled["reason"]) == ("error", "the plan was cancelled")
        client.spin_until(lambda: _value(client, "last event").startswith("time jumped back by 85"), what="the jump")
        executes_nothing(client)
        assert "no cloud received yet" in client.next_report(lambda: client.say("pick up the mug"))["reason"]
        plans_from_here(client)


@pytest.mark.parametrize("stage", STAGES)
def test_a_plan_cancelled_in_any_stage_leaves_nothing_to_execute(node: Client, stage: str) -> None:
    node.say(f"hold {stage}")
    node.spin_until(lambda: _stage(node) == stage, what=f"stage {stage}")
    cancelled = node.next_report(lambda: node.trigger("cancel"))
    assert (cancelled["status"], cancelled["reason"]) == ("error", "the plan was cancelled")
    executes_nothing(node)


def test_deactivation_in_a_plan_publishes_none_of_it_and_activation_starts_anew(node: Client) -> None:
    node.say("hold refine")
    node.spin_until(lambda: _stage(node) == "refine", what="the stage")
    before = len(node.reports())
    assert node.change_state("deactivate")
    node.spin_until(lambda: len(node.reports()) > before, what="the report of the end")
    assert [report["reason"] for report in node.reports()[before:]] == ["the plan was cancelled"]
    assert "not active" in node.trigger("execute").message
    assert node.change_state("activate")
    assert (
        "no cloud received yet"
        in node.next_report(lambda: (node.set_parameters(cloud_timeout=0.0), node.say("x")))["reason"]
    )
    executes_nothing(node)
    node.set_parameters(cloud_timeout=2.0)
    plans_from_here(node)


def test_two_clients_each_get_their_answer(node: Client) -> None:
    other = Client(node.context_domain)
    try:
        other.heard["/maskdex/report"] = []
        node.next_report(lambda: node.say("slow work"))
        node.spin_until(lambda: not _working(node), what="the end of it told")
        first = node.trigger_async("plan")
        node.spin_until(lambda: _working(node), what="the running plan")
        second = other.trigger("plan")
        assert not second.success
        assert "busy with 'slow work'" in second.message
        assert node.wait(first).success
        assert other.trigger("plan", 20.0).success
    finally:
        other.close()


def test_a_flood_of_texts_leaves_the_node_answering(node: Client) -> None:
    from std_msgs.msg import String

    publisher, texts = node._publishers["/task_text"], 2000
    began = time.monotonic()
    for index in range(texts):
        publisher.publish(String(data=f"slow work {index}"))
        time.sleep(max(0.0, began + 0.001 * (index + 1) - time.monotonic()))
        if index == texts // 2:
            assert node.state() == "active"  # answered in the middle of it
    answer = node.trigger("cancel")
    assert answer.success or answer.message == "nothing to cancel"  # on a loaded machine the last plan may be over
    node.spin_until(lambda: not _working(node), 15.0, "the end of the flood")
    plans_from_here(node)
    node.spin_until(lambda: int(_value(node, "reports busy") or 0) > 0, what="refusals counted")


def test_sigint_at_any_time_ends_the_process_with_0() -> None:
    rng = random.Random(3)
    for _ in range(4):
        with process(node_command(*READY, *LENIENT), ros_environment(free_domain_id())) as child:
            assert child.stdout is not None
            child.stdout.readline()  # the interpreter has started, and the node speaks for the first time
            time.sleep(rng.uniform(0.0, 0.4))
            child.send_signal(signal.SIGINT)
            assert child.wait(30) == 0
            assert "Traceback" not in child.stdout.read()


def _stage(client: Client) -> str:
    heard = client.heard["/maskdex/stage"]
    return heard[-1].data if heard else ""


def _value(client: Client, key: str) -> str:
    heard = client.heard["/diagnostics"]
    return {pair.key: pair.value for pair in heard[-1].status[0].values}.get(key, "") if heard else ""


def _working(client: Client) -> bool:
    return bool(_value(client, "working on"))


def test_a_node_that_ends_leaves_no_shared_memory() -> None:
    domain_id = free_domain_id()
    with process(node_command(*READY, *LENIENT), ros_environment(domain_id)) as child:
        client = Client(domain_id)
        try:
            client.listen_to_node()
            client.spin_until(lambda: client.state() == "active", what="the active state")
            maps = Path(f"/proc/{child.pid}/maps").read_text().split()
            segments = {Path(part) for part in maps if part.startswith("/dev/shm/fastdds_") and "port" not in part}
            child.send_signal(signal.SIGINT)
            assert child.wait(30) == 0
        finally:
            client.close()
    assert segments, "the node spoke through no shared memory: there is nothing to test"
    assert not [path.name for path in segments if path.exists()]
