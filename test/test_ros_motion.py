"""One motion from start to end or stop, without a ROS graph: what is refused, told, and sent to stop."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")

from action_worlds import FakeWorld
from fake_planner_node import ARM, HAND, FakePlanner, _trajectory
from hypothesis import given, settings
from hypothesis import strategies as st

from maskdex_core.errors import RobotError
from maskdex_core.motion.types import RobotState, RobotTrajectory
from maskdex_ros.joint_states import JointStateStore
from maskdex_ros.motion import FOLLOWS_WITHIN, Motion
from maskdex_ros.outputs.joint_trajectory import JointTrajectoryOutput
from maskdex_ros.outputs.output import CANCELLED, Events

START = 0.1
TOPICS = ("arm_controller/joint_trajectory", "hand_controller/joint_trajectory")


def trajectory() -> RobotTrajectory:
    return _trajectory(RobotState(ARM, np.full(len(ARM), START), HAND, np.full(len(HAND), START)), False)


class Bench:
    """A motion on the topics, with a clock that the test moves."""

    def __init__(self, output: Any = None) -> None:
        self.world, self.now = FakeWorld(), 0.0
        self.store = JointStateStore(lambda: self.now)
        self.changes: list[str] = []
        self.ends: list[str] = []
        self.output = output or JointTrajectoryOutput(self.world, "arm_controller", "hand_controller")
        planner = FakePlanner(SimpleNamespace(hand="freedom_v2"))
        self.motion = Motion(
            self.output, lambda: self.store, planner.brake, lambda: self.now, self.changes.append, self.ends.append
        )

    def stand_at(self, angles: float | dict[str, float]) -> None:
        by_name = angles if isinstance(angles, dict) else dict.fromkeys((*ARM, *HAND), angles)
        self.store.update(SimpleNamespace(name=list(by_name), position=list(by_name.values())))

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.world.wait(seconds)

    def sent(self, topic: int = 0) -> list[Any]:
        return self.world.published[TOPICS[topic]]


def at(plan: RobotTrajectory, time: float) -> float:
    return float(np.interp(time, np.concatenate([[0.0], plan.arm.times]), [START, *plan.arm.positions[:, 0]]))


def test_a_motion_is_accepted_runs_for_its_time_and_arrives() -> None:
    bench = Bench()
    answer = bench.motion.start(trajectory())
    assert answer.done() and answer.result() == ""
    assert (bench.motion.text, bench.changes) == ("moving", ["moving"])
    bench.pass_time(0.9)
    assert not bench.ends
    bench.pass_time(0.3)
    assert (bench.motion.text, bench.changes, bench.ends) == ("", ["moving", "at rest"], [""])
    assert len(bench.sent()) == len(bench.sent(1)) == 1


def test_a_second_client_is_refused_while_the_robot_moves() -> None:
    bench = Bench()
    bench.motion.start(trajectory())
    with pytest.raises(RobotError, match="the robot is still moving; cancel it or wait"):
        bench.motion.start(trajectory())
    assert len(bench.sent()) == 1
    bench.pass_time(1.2)
    bench.motion.start(trajectory())
    assert len(bench.sent()) == 2


@settings(deadline=None, max_examples=25)
@given(st.floats(0.02, 0.97))
def test_stop_brakes_both_parts_from_where_the_plan_is_and_ends_at_rest(moment: float) -> None:
    bench, plan = Bench(), trajectory()
    bench.motion.start(plan)
    bench.now += moment
    bench.stand_at(at(plan, moment))
    assert bench.motion.stop()
    for topic in (0, 1):
        _, brake = bench.sent(topic)
        assert not np.any(brake.points[-1].velocities)
        first, last = brake.points[0], brake.points[-1]
        assert first.time_from_start.sec + first.time_from_start.nanosec > 0
        # On the plan's way, not back and not beyond its end.
        assert at(plan, moment) - 1e-6 <= first.positions[0] <= last.positions[0] <= plan.arm.positions[-1, 0] + 1e-6
    assert bench.motion.text == "stopping"
    assert bench.motion.stop(), "a second press is heard too"
    assert len(bench.sent()) == 2, "and sends nothing more"
    bench.pass_time(2.0)
    assert (bench.ends, bench.changes) == ([CANCELLED], ["moving", "stopping", "at rest"])


def test_a_robot_that_does_not_follow_is_held_where_it_is_and_not_sent_after_the_plan() -> None:
    bench, plan = Bench(), trajectory()
    bench.motion.start(plan)
    bench.now += 0.5
    bench.stand_at({**dict.fromkeys((*ARM, *HAND), at(plan, 0.5)), "joint3": at(plan, 0.5) + 1.5 * FOLLOWS_WITHIN})
    assert bench.motion.stop()
    (point,) = bench.sent()[-1].points
    assert point.positions[2] == pytest.approx(at(plan, 0.5) + 1.5 * FOLLOWS_WITHIN)
    assert not np.any(point.velocities)


def test_without_fresh_joint_states_the_stop_follows_the_plan() -> None:
    bench, plan = Bench(), trajectory()
    bench.stand_at(START + 1.0)
    bench.motion.start(plan)
    bench.now += 0.6
    assert bench.motion.stop()
    assert bench.sent()[-1].points[0].positions[0] == pytest.approx(at(plan, 0.6), abs=0.02)


def test_nothing_is_sent_when_no_controller_listens() -> None:
    bench = Bench()
    bench.world.listeners = 0
    with pytest.raises(RobotError, match="nobody listens on arm_controller/joint_trajectory"):
        bench.motion.start(trajectory())
    assert not bench.sent()
    bench.world.listeners = 1
    bench.motion.start(trajectory())
    assert len(bench.sent()) == 1


def test_stop_at_rest_does_nothing() -> None:
    bench = Bench()
    assert not bench.motion.stop()
    bench.motion.start(trajectory())
    bench.pass_time(1.2)
    assert not bench.motion.stop()
    assert len(bench.sent()) == 1


class Told:
    """An output that keeps its events for the test."""

    def __init__(self, error: Exception | None = None) -> None:
        self.events: list[Events] = []
        self.stops: list[Callable[[], Any]] = []
        self._error = error

    def start(self, _: Any, events: Events) -> None:
        if self._error is not None:
            raise self._error
        self.events.append(events)

    def stop(self, braking: Callable[[], Any]) -> None:
        self.stops.append(braking)


def test_the_answer_waits_for_the_controllers_and_carries_their_refusal() -> None:
    output = Told()
    bench = Bench(output)
    answer = bench.motion.start(trajectory())
    assert not answer.done()
    output.events[0].ended("arm_controller rejected the goal")
    assert answer.result() == "arm_controller rejected the goal"
    assert bench.motion.text == ""
    accepted = bench.motion.start(trajectory())
    output.events[1].accepted()
    output.events[1].progress("1.2 s")
    assert accepted.result() == ""
    assert bench.motion.text == "moving: 1.2 s"


def test_a_stop_that_could_not_be_sent_is_tried_again() -> None:
    bench = Bench()
    bench.motion.start(trajectory())
    brake, bench.motion._brake = bench.motion._brake, lambda *_: (_ for _ in ()).throw(RobotError("no way to rest"))
    with pytest.raises(RobotError, match="no way to rest"):
        bench.motion.stop()
    assert (bench.motion.text, len(bench.sent())) == ("moving", 1)
    bench.motion._brake = brake
    assert bench.motion.stop()
    assert (bench.motion.text, len(bench.sent())) == ("stopping", 2)


def test_what_could_not_be_sent_leaves_the_robot_at_rest() -> None:
    bench = Bench(Told(RobotError("no such action server")))
    with pytest.raises(RobotError, match="no such action server"):
        bench.motion.start(trajectory())
    assert bench.motion.text == ""
    assert not bench.changes
