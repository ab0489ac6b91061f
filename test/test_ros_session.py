"""From a request to its answer without a ROS graph: which plan may be executed, and for how long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")

from fake_planner_node import ARM, HAND, FakePlanner
from rclpy.task import Future
from ros_support import cloud_message

from maskdex_core.errors import MaskdexError, RobotError
from maskdex_core.motion.contact_rules import DEFAULT_SAFETY
from maskdex_ros.inputs import Inputs
from maskdex_ros.parameters import NodeParameters
from maskdex_ros.planning import Outcome
from maskdex_ros.session import PlanningSession


class HeldPlanner(FakePlanner):
    """Past its last stage check a `held` text waits for the test, whoever cancels meanwhile."""

    def __init__(self) -> None:
        super().__init__(NodeParameters())
        self.reached, self.release = threading.Event(), threading.Event()

    def plan(self, cloud: Any, text: str, *args: Any, **kwargs: Any) -> Any:
        plan = super().plan(cloud, text, *args, **kwargs)
        if "held" in text:
            self.reached.set()
            self.release.wait(10)
        return plan


class Bench:
    """A session whose executor is the test: what was posted runs on `settle`."""

    def __init__(self, pose: np.ndarray | None = None) -> None:
        self.delivered: list[Outcome] = []
        self.parameters = NodeParameters(joint_state_max_age=60.0, max_cloud_age=0.0)
        self.inputs, self.planner, self._posted = Inputs(), HeldPlanner(), []
        transforms: Any = SimpleNamespace(lookup=lambda *_: pose)
        self.session = PlanningSession(
            self.inputs, transforms, lambda: self.parameters, self._posted.append, self.delivered.append, lambda _: None
        )
        self.session.planner, self.session.accepting = self.planner, True
        self.inputs.take_cloud(cloud_message())
        self.stand_at(0.1)

    def stand_at(self, angle: float) -> None:
        names = [*ARM, *HAND]
        self.inputs.take_joints(SimpleNamespace(name=names, position=[angle] * len(names)))

    def settle(self) -> Outcome:
        """Let the running job end, deliver it and return what came of it."""
        assert self.session.worker.wait_idle(10)
        end = time.monotonic() + 10
        while not self._posted:  # the slot is free a moment before the end is heard
            assert time.monotonic() < end
            time.sleep(0.001)
        while self._posted:
            self._posted.pop(0)()
        return self.delivered[-1]

    def plan(self, text: str = "pick up the mug") -> Outcome:
        self.session.plan(text)
        return self.settle()

    def refusal(self) -> str:
        """Return why nothing may be executed."""
        with pytest.raises(MaskdexError) as caught:
            self.session.executable()
        return str(caught.value)


@pytest.fixture
def bench():
    made = Bench(np.eye(4))
    yield made
    made.planner.release.set()
    assert made.session.worker.close(5)


NO_PLAN = "there is no plan to execute"


def test_a_plan_is_executable_once(bench: Bench) -> None:
    assert bench.plan().ok
    assert bench.session.executable().arm.joint_names == ARM
    assert "sent already" in bench.refusal()


def test_a_plan_that_did_not_start_may_be_tried_again_and_one_that_did_may_not(bench: Bench) -> None:
    bench.plan()

    def unsent(_: Any) -> Future:
        raise RobotError("no such action server")

    with pytest.raises(RobotError, match="no such action server"):
        bench.session.execute(unsent)
    answer: Future[str] = Future()
    assert bench.session.execute(lambda trajectory: answer) is answer
    assert "sent already" in bench.refusal()
    answer.set_result("the controller rejected the goal")
    accepted: Future[str] = Future()
    bench.session.execute(lambda trajectory: accepted)
    accepted.set_result("")
    assert "sent already" in bench.refusal()


def test_cancel_after_the_last_stage_check_gives_no_plan_and_saves_none(bench: Bench, tmp_path: Path) -> None:
    bench.parameters = NodeParameters(joint_state_max_age=60.0, output_dir=str(tmp_path / "out"))
    bench.session.plan("held work")
    assert bench.planner.reached.wait(10)
    assert bench.session.cancel()
    bench.planner.release.set()
    outcome = bench.settle()
    assert (outcome.status, outcome.reason, outcome.plan) == ("error", "the plan was cancelled", None)
    assert NO_PLAN in bench.refusal()
    assert not (tmp_path / "out").exists()


def test_cancel_between_the_end_of_a_job_and_its_delivery_gives_no_plan(bench: Bench) -> None:
    bench.session.plan("pick up the mug")
    assert bench.session.worker.wait_idle(10)
    assert "busy" in bench.refusal()
    assert bench.session.cancel()
    assert bench.settle().reason == "the plan was cancelled"
    assert NO_PLAN in bench.refusal()
    assert not bench.session.cancel()


def test_a_new_request_ends_the_old_plan_at_once(bench: Bench) -> None:
    bench.plan()
    bench.session.plan("held work")
    assert "busy with 'held work'" in bench.refusal()
    bench.planner.release.set()
    assert bench.settle().ok
    assert bench.session.executable() is not None


def _cancelled(bench: Bench) -> None:
    bench.session.plan("slow work")
    assert bench.session.cancel()
    bench.settle()


def _deactivated(bench: Bench) -> None:
    assert bench.session.stop()
    bench.session.accepting = True


ENDINGS: dict[str, tuple[Callable[[Bench], Any], str]] = {
    "failed": (lambda bench: bench.plan("crash"), NO_PLAN),
    "refused at the door": (lambda bench: bench.session.plan("   "), NO_PLAN),
    "rejected": (lambda bench: bench.plan("reject"), "not executable \\(rejected\\)"),
    "cancelled": (_cancelled, NO_PLAN),
    "withdrawn": (lambda bench: bench.session.withdraw(), NO_PLAN),
    "deactivated": (_deactivated, NO_PLAN),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_old_plan_is_executable_after_a_request_without_a_plan(bench: Bench, ending: str) -> None:
    act, expected = ENDINGS[ending]
    bench.plan()
    act(bench)
    with pytest.raises(MaskdexError, match=expected):
        bench.session.executable()


def test_the_plan_shown_last_can_be_resampled_after_a_failure(bench: Bench) -> None:
    bench.plan("pick up the mug")
    bench.plan("crash")
    bench.session.resample()
    outcome = bench.settle()
    assert (outcome.ok, outcome.text, outcome.plan.parts) == (True, "pick up the mug", ("ring",))
    assert bench.session.executable() is not None


def test_a_plan_is_as_old_as_its_cloud_and_resampling_does_not_make_it_younger(bench: Bench) -> None:
    bench.inputs._cloud_at -= 61.0
    for request in (bench.plan, lambda: (bench.session.resample(), bench.settle())):
        request()
        assert "cloud arrived 61 s ago; at most 60 s" in bench.refusal()
    bench.inputs.take_cloud(cloud_message())
    bench.plan()
    assert bench.session.executable() is not None


def test_the_start_tolerance_is_the_verdicts(bench: Bench) -> None:
    bench.plan()
    bench.stand_at(0.1 + 1.1 * DEFAULT_SAFETY.start_tolerance)
    assert f"at most {DEFAULT_SAFETY.start_tolerance} rad" in bench.refusal()
    bench.stand_at(0.1 + 0.9 * DEFAULT_SAFETY.start_tolerance)
    assert bench.session.executable() is not None


def test_a_plan_with_an_assumed_camera_pose_is_never_executed() -> None:
    bench = Bench(pose=None)
    assert bench.plan().extrinsics_assumed
    assert "derived from the table" in bench.refusal()
    bench.session.resample()
    assert bench.settle().extrinsics_assumed
    assert "derived from the table" in bench.refusal()
    assert bench.session.worker.close(5)
