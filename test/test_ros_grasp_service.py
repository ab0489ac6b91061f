"""`plan_grasps`: a request and the node's plan become MoveIt's answer; fakes always, real messages where they are."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")

import fake_ros_packages
from action_worlds import has_package

from maskdex_core.errors import CloudError, PlanCancelled, RobotError
from maskdex_ros.grasp_service import GraspService
from maskdex_ros.planning import Outcome, failure

HAND = ("finger", "thumb")
TIP_FROM_PALM = np.array([[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0.1], [0, 0, 0, 1]])


@pytest.fixture(params=["newer fakes", "older fakes", "real"])
def messages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    if request.param == "real":
        if not has_package("moveit_msgs"):
            pytest.skip("moveit_msgs comes with ROS distributions only")
    else:
        packages = fake_ros_packages.moveit_packages(newer=request.param == "newer fakes")
        fake_ros_packages.install(monkeypatch, packages)
    yield importlib.import_module("moveit_msgs.srv").GraspPlanning


class Candidate(SimpleNamespace):
    """A candidate whose numbers tell which one it is."""

    def __init__(self, number: int, verdict: str) -> None:
        pose = np.eye(4)
        pose[:3, 3] = [0.4, 0.01 * number, 0.2]
        super().__init__(
            palm_pose=pose, verdict=verdict, confidence=1.0 - 0.1 * number, approach=np.array([0.0, 0.0, -1.0]),
            pregrasp=np.zeros(2), joints=np.full(2, 0.5), squeeze=np.full(2, 0.6),
        )  # fmt: skip


def plan() -> Any:
    verdicts = ("rejected", "ok", "", "rejected")
    return SimpleNamespace(
        candidates=[Candidate(number, verdict) for number, verdict in enumerate(verdicts)],
        chosen=1,
        hand_joint_names=HAND,
        trajectory=SimpleNamespace(phases={"close": (2.0, 3.5)}, duration=5.0),
    )


class Bench:
    """The service before a node that plans as it is told."""

    def __init__(self, kind: Any, outcome: Outcome | Exception, text: str | None = "use the knife") -> None:
        self.asked: list[tuple[str, tuple[float, ...]]] = []
        self.kind = kind
        node: Any = SimpleNamespace(
            create_service=lambda *args, **kwargs: None,
            destroy_service=lambda service: None,
            get_name=lambda: "maskdex",
        )
        names = SimpleNamespace(
            base_frame="link_base", tip_frame="link_eef", arm_group="xarm7", tip_from_palm=TIP_FROM_PALM
        )
        planner = SimpleNamespace(robot_names=names, config=SimpleNamespace(approach=0.08, lift=0.12))

        async def answer(text: str, near: tuple[float, ...]) -> Outcome:
            self.asked.append((text, near))
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        self.service = GraspService(node, planner, answer, lambda: text, None)

    def call(self, **fields: Any) -> Any:
        request, response = self.kind.Request(), self.kind.Response()
        for name, value in fields.items():
            setattr(request, name, value)
        return asyncio.run(self.service._serve(request, response))


def point(message: Any) -> list[float]:
    return [message.x, message.y, message.z]


def test_the_chosen_grasp_comes_first_and_rejected_ones_not_at_all(messages: Any) -> None:
    bench = Bench(messages, Outcome("ok", "planned", plan=plan()))
    request = messages.Request()
    request.target.id = "knife"
    answer = bench.call(group_name="xarm7", target=request.target)
    assert answer.error_code.val == 1
    assert [grasp.id for grasp in answer.grasps] == ["grasp_1", "grasp_2"]
    assert [grasp.grasp_quality for grasp in answer.grasps] == pytest.approx([0.9, 0.8])
    grasp = answer.grasps[0]
    assert bench.asked == [("use the knife", ())]
    # The pose is the tip link's: its palm stands where the plan's does.
    assert grasp.grasp_pose.header.frame_id == "link_base"
    assert point(grasp.grasp_pose.pose.position) == pytest.approx([0.4, 0.01, 0.1])
    quaternion = grasp.grasp_pose.pose.orientation
    assert [quaternion.z, quaternion.w] == pytest.approx([-np.sqrt(0.5), np.sqrt(0.5)])
    assert list(grasp.pre_grasp_posture.joint_names) == list(HAND)
    assert [list(item.positions) for item in grasp.pre_grasp_posture.points] == [[0.0, 0.0]]
    assert [list(item.positions) for item in grasp.grasp_posture.points] == [[0.5, 0.5], [0.6, 0.6]]
    last = grasp.grasp_posture.points[-1].time_from_start
    assert (last.sec, last.nanosec) == (1, 500_000_000)
    assert point(grasp.pre_grasp_approach.direction.vector) == [0.0, 0.0, -1.0]
    assert grasp.pre_grasp_approach.desired_distance == pytest.approx(0.08)
    assert point(grasp.post_grasp_retreat.direction.vector) == [0.0, 0.0, 1.0]
    assert grasp.post_grasp_retreat.desired_distance == pytest.approx(0.12)
    assert list(grasp.allowed_touch_objects) == ["knife"]


def test_a_target_with_a_place_says_where_to_grasp_and_without_a_text_what(messages: Any) -> None:
    from geometry_msgs.msg import Pose

    bench = Bench(messages, Outcome("ok", "planned", plan=plan()), text=None)
    target = messages.Request().target
    target.id, target.header.frame_id = "mug", "link_base"
    target.pose.position.x = 0.4
    shape = Pose()
    shape.position.z = 0.05
    target.primitive_poses = [shape]
    assert bench.call(target=target).error_code.val == 1
    assert bench.asked == [("pick up the mug", (0.4, 0.0, 0.05))]


def test_what_cannot_be_asked_for_is_refused_with_its_own_code(messages: Any) -> None:
    from geometry_msgs.msg import Pose

    bench = Bench(messages, Outcome("ok", "planned", plan=plan()))
    assert bench.call(group_name="left_arm").error_code.val == -15
    target = messages.Request().target
    target.header.frame_id, target.primitive_poses = "camera", [Pose()]
    answer = bench.call(target=target)
    assert answer.error_code.val == -21
    if hasattr(answer.error_code, "message"):
        assert answer.error_code.message == "the target's frame is 'camera'; valid: 'link_base'"
    assert not bench.asked
    assert not answer.grasps


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome("rejected", "16 of 16 candidates out of reach", plan=plan()), -1),
        (Outcome("busy", "busy with 'x'; ask again"), 99999),
        (failure(CloudError("no cloud received yet on 'points'"), ""), -5),
        (failure(RobotError("no joint_states received yet"), ""), -17),
        (failure(PlanCancelled("the plan was cancelled"), ""), -7),
        (ZeroDivisionError("nobody foresaw this"), 99999),
    ],
    ids=["rejected", "busy", "no cloud", "no joints", "cancelled", "crash"],
)
def test_no_plan_gives_no_grasps_a_code_and_the_reason(messages: Any, outcome: Any, code: int) -> None:
    answer = Bench(messages, outcome).call()
    assert answer.error_code.val == code
    assert not answer.grasps
    if hasattr(answer.error_code, "message"):
        reason = outcome.reason if isinstance(outcome, Outcome) else "nobody foresaw this"
        assert reason in answer.error_code.message
        assert answer.error_code.source == "maskdex"
