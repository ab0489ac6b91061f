"""Goals to the controllers' actions: against fakes always, against real servers where control_msgs is installed."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")

import fake_ros_packages
from action_worlds import FakeWorld, RealWorld, Server, has_package

from maskdex_core.errors import ConfigError, RobotError
from maskdex_core.motion.types import JointTrajectory, RobotTrajectory
from maskdex_ros.environment import free_domain_id
from maskdex_ros.outputs import make_output
from maskdex_ros.outputs.action_goal import ACCEPT_WITHIN
from maskdex_ros.outputs.output import CANCELLED, Events
from maskdex_ros.parameters import NodeParameters

ARM, HAND = "arm_controller/follow_joint_trajectory", "hand_controller/follow_joint_trajectory"
PARAMETERS = NodeParameters(output="follow_joint_trajectory")


@dataclass
class Heard:
    """Everything that one motion told."""

    accepted: int = 0
    progress: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    @property
    def events(self) -> Events:
        def accepted() -> None:
            self.accepted += 1

        return Events(accepted, self.progress.append, self.ended.append)


def trajectory(end_velocity: float = 0.0) -> RobotTrajectory:
    def part(*names: str) -> JointTrajectory:
        positions = np.linspace(0.1, 0.4, 4)[:, None].repeat(len(names), axis=1)
        velocities = np.full_like(positions, 0.1)
        velocities[-1] = end_velocity
        return JointTrajectory(names, np.arange(1, 5) * 0.1, positions, velocities, np.zeros_like(positions))

    return RobotTrajectory(part("joint1", "joint2"), part("finger"))


@pytest.fixture(params=["fake", "real"])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    if request.param == "real" and not has_package("control_msgs"):
        pytest.skip("control_msgs comes with ROS distributions only")
    if request.param == "real":
        made: Any = RealWorld(free_domain_id())
    else:
        made = FakeWorld()
        fake_ros_packages.install(monkeypatch, fake_ros_packages.control_packages())
        monkeypatch.setattr("rclpy.action.ActionClient", made.client)
    yield made
    made.close()


class Bench:
    """The output between two controllers."""

    def __init__(self, world: Any, arm: Server | None = None, hand: Server | None = None) -> None:
        kind = importlib.import_module("control_msgs.action").FollowJointTrajectory
        self.world, self.heard = world, Heard()
        self.arm = world.serve(kind, ARM, arm or Server())
        self.hand = world.serve(kind, HAND, hand or Server())
        self.output = make_output(world.node, None, PARAMETERS)
        if self.arm.there and self.hand.there:
            world.until(lambda: all(client.server_is_ready() for _, client in self.output._clients.values()))

    def start(self) -> None:
        self.output.start(trajectory(), self.heard.events)

    def end(self) -> str:
        """Return why the motion ended; it must have ended once."""
        self.world.until(lambda: self.heard.ended)
        self.world.wait(0.3)
        self.output.destroy()
        assert len(self.heard.ended) == 1
        return self.heard.ended[0]


def test_both_goals_are_accepted_and_arrive(world: Any) -> None:
    bench = Bench(world)
    bench.start()
    assert bench.end() == ""
    assert bench.heard.accepted == 1
    (arm,), (hand,) = bench.arm.goals, bench.hand.goals
    assert list(arm.trajectory.joint_names) == ["joint1", "joint2"]
    assert (arm.trajectory.header.stamp.sec, arm.trajectory.header.stamp.nanosec) == (0, 0)
    assert len(arm.trajectory.points) == 4
    assert not arm.goal_tolerance, "the arm keeps its controller's tolerances"
    # An object in the hand stops the fingers before their commands do; that is no failure.
    assert [tolerance.name for tolerance in hand.goal_tolerance] == ["finger"]
    assert {tolerance.position for tolerance in (*hand.goal_tolerance, *hand.path_tolerance)} == {-1.0}


def test_feedback_says_how_far_and_how_well(world: Any) -> None:
    def fill(message: Any) -> None:
        message.joint_names = ["joint1", "joint2"]
        message.desired.time_from_start.sec, message.desired.time_from_start.nanosec = 1, 250_000_000
        message.error.positions = [0.001, -0.02]

    bench = Bench(world, arm=Server(feedback=fill, end="hold"))
    bench.start()
    world.until(lambda: bench.heard.progress)
    assert bench.heard.progress[0] == f"{ARM}: 1.2 s, joint2 0.020 rad off"
    bench.output.stop(trajectory)
    assert bench.end() == CANCELLED


@pytest.mark.parametrize("part", ["arm", "hand"])
def test_one_rejected_goal_cancels_the_other(world: Any, part: str) -> None:
    servers = {"arm": Server(end="hold"), "hand": Server(end="hold")}
    servers[part].accept = False
    bench = Bench(world, **servers)
    bench.start()
    assert bench.end() == f"{ARM if part == 'arm' else HAND} rejected the goal"
    assert bench.heard.accepted == 0
    assert servers["hand" if part == "arm" else "arm"].cancelled == 1


def test_one_aborted_goal_cancels_the_other_and_says_why(world: Any) -> None:
    def fill(message: Any) -> None:
        message.error_code, message.error_string = -4, "joint2 0.3 rad behind"

    bench = Bench(world, arm=Server(end="abort", result=fill), hand=Server(end="hold"))
    bench.start()
    assert bench.end() == f"{ARM}: path tolerance violated (joint2 0.3 rad behind)"
    assert bench.hand.cancelled == 1


def test_a_goal_that_succeeds_with_an_error_code_did_not_arrive(world: Any) -> None:
    def fill(message: Any) -> None:
        message.error_code = -5

    bench = Bench(world, hand=Server(result=fill))
    bench.start()
    assert bench.end() == f"{HAND}: goal tolerance violated"


def test_stop_cancels_both_goals(world: Any) -> None:
    bench = Bench(world, Server(end="hold"), Server(end="hold"))
    bench.start()
    world.until(lambda: bench.heard.accepted)
    bench.output.stop(trajectory)
    assert bench.end() == CANCELLED
    assert (bench.arm.cancelled, bench.hand.cancelled) == (1, 1)


def test_stop_before_the_goals_are_accepted_cancels_them_too(world: Any) -> None:
    bench = Bench(world, Server(end="hold"), Server(end="hold"))
    bench.start()
    bench.output.stop(trajectory)
    assert bench.end() == CANCELLED
    assert (bench.arm.cancelled, bench.hand.cancelled) == (1, 1)


def test_nothing_is_sent_when_a_server_is_missing(world: Any) -> None:
    bench = Bench(world, hand=Server(there=False))
    world.wait(0.3)
    with pytest.raises(RobotError, match="no such action server"):
        bench.start()
    world.wait(0.3)
    assert not bench.arm.goals
    assert not bench.heard.ended
    bench.output.destroy()


def test_nothing_is_sent_when_a_trajectory_would_not_be_accepted(world: Any) -> None:
    bench = Bench(world)
    with pytest.raises(RobotError, match="still moves"):
        bench.output.start(trajectory(end_velocity=math.pi), bench.heard.events)
    world.wait(0.3)
    assert not bench.arm.goals
    assert not bench.hand.goals
    bench.output.destroy()


def test_destroy_during_a_motion_leaves_nothing_behind(world: Any) -> None:
    bench = Bench(world, Server(end="hold"), Server(end="hold"))
    bench.start()
    world.until(lambda: bench.heard.accepted)
    bench.output.destroy()
    world.wait(1.0)
    assert not bench.heard.ended


def test_a_stop_reaches_the_controllers_though_the_clients_go_at_once(world: Any) -> None:
    bench = Bench(world, Server(end="hold"), Server(end="hold"))
    bench.start()
    world.until(lambda: bench.heard.accepted)
    bench.output.stop(trajectory)
    bench.output.destroy()
    world.until(lambda: (bench.arm.cancelled, bench.hand.cancelled) == (1, 1))
    assert not bench.heard.ended


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> FakeWorld:
    world = FakeWorld()
    fake_ros_packages.install(monkeypatch, fake_ros_packages.control_packages())
    monkeypatch.setattr("rclpy.action.ActionClient", world.client)
    return world


def test_a_server_that_never_answers_is_given_up_and_a_late_goal_is_cancelled(fakes: FakeWorld) -> None:
    bench = Bench(fakes, arm=Server(accept=None, end="hold"), hand=Server(end="hold"))
    bench.start()
    fakes.wait(ACCEPT_WITHIN + 1.0)
    assert bench.heard.ended == [f"{ARM} did not answer the goal within {ACCEPT_WITHIN:.0f} s"]
    assert (bench.arm.cancelled, bench.hand.cancelled) == (0, 1)
    assert fakes.timers == 0
    bench.arm.late()
    fakes.settle()
    assert bench.arm.cancelled == 1


def test_a_server_that_goes_away_ends_the_motion(fakes: FakeWorld) -> None:
    bench = Bench(fakes, arm=Server(end="hold"), hand=Server(end="hold"))
    bench.start()
    fakes.wait(2.0)
    assert not bench.heard.ended
    bench.arm.there = False
    fakes.wait(2.0)
    assert bench.heard.ended == [f"{ARM}: the action server is gone"]
    assert bench.hand.cancelled == 1


def test_a_goal_cancelled_by_someone_else_is_not_ours_to_call_cancelled(fakes: FakeWorld) -> None:
    server = Server()
    server.release.set()  # the server ends the goal as cancelled, without our asking
    bench = Bench(fakes, arm=server, hand=Server(end="hold"))
    bench.start()
    assert "cancelled by the server or another client" in bench.end()


def test_without_the_package_the_reason_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    fake_ros_packages.hide(monkeypatch, "control_msgs", "moveit_msgs")
    with pytest.raises(ConfigError, match=r"'follow_joint_trajectory' needs control_msgs.*ros-jazzy-control-msgs"):
        make_output(FakeWorld(), None, PARAMETERS)
    with pytest.raises(ConfigError, match=r"'moveit' needs moveit_msgs.*ros-jazzy-moveit-msgs"):
        make_output(FakeWorld(), FakeWorld(), NodeParameters(output="moveit"))


def test_an_unknown_output_names_the_choices() -> None:
    with pytest.raises(ConfigError, match="'gripper' is unknown; known: follow_joint_trajectory, joint_traj"):
        make_output(FakeWorld(), None, NodeParameters(output="gripper"))
