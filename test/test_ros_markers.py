"""Markers as RViz gets them: frames, namespaces, lifetimes, colours by reason, and nothing left when stale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="no ROS 2 Python packages: pip install 'maskdex_ros[ros]'")

from builtin_interfaces.msg import Time
from fake_planner_node import FakeCandidate
from visualization_msgs.msg import Marker

from maskdex_core.viewer.palette import HAND, KINDS
from maskdex_ros.markers import WORDS_SHOWN, grasp_poses, plan_markers, state_markers

STAMP = Time(sec=5)


@dataclass(frozen=True)
class DrawnPlan:
    """What is drawn of a plan; the second candidate was chosen."""

    status: str = "ok"
    reason: str = ""
    text: str = "drink from the mug"
    chosen: int = 1
    object_points: Any = None
    target_hand_triangles: Any = None
    candidate_bones: Any = None
    arm_points: Any = None
    candidates: Any = None


def drawn(**changes: Any) -> DrawnPlan:
    palm = np.eye(4)
    palm[:3, 3] = [0.4, 0.1, 0.2]
    candidates = [
        FakeCandidate(palm, 0.1, "rejected", "collision: hand and table are 2 mm apart"),
        FakeCandidate(palm, 0.2, "ok", ""),
        FakeCandidate(palm, 0.4, "untried", ""),
        FakeCandidate(palm, 0.3, "rejected", "inverse kinematics: the grasp pose is out of reach"),
    ]
    rng = np.random.default_rng(0)
    values: dict[str, Any] = {
        "object_points": rng.normal(size=(50, 3)), "target_hand_triangles": rng.normal(size=(7, 3, 3)),
        "candidate_bones": rng.normal(size=(4, 5, 2, 3)), "arm_points": rng.normal(size=(8, 3)),
        "candidates": candidates,
    }  # fmt: skip
    return DrawnPlan(**{**values, **changes})


def by_namespace(markers: list[Marker]) -> dict[str, list[Marker]]:
    found: dict[str, list[Marker]] = {}
    for marker in markers:
        found.setdefault(marker.ns, []).append(marker)
    return found


def color(marker: Marker) -> tuple[float, ...]:
    return tuple(round(value, 4) for value in (marker.color.r, marker.color.g, marker.color.b))


def test_the_first_marker_clears_and_all_others_have_frame_stamp_and_lifetime() -> None:
    first, *others = plan_markers(drawn(), "link_base", STAMP, 12.5).markers
    assert first.action == Marker.DELETEALL
    assert others
    for marker in others:
        assert (marker.header.frame_id, marker.header.stamp) == ("link_base", STAMP)
        assert (marker.lifetime.sec, marker.lifetime.nanosec) == (12, 500_000_000)
        assert marker.action == Marker.ADD
        orientation = marker.pose.orientation
        assert orientation.x**2 + orientation.y**2 + orientation.z**2 + orientation.w**2 == pytest.approx(1.0)
    assert len({(marker.ns, marker.id) for marker in others}) == len(others)


def test_chosen_hand_is_solid_and_the_others_are_ghosts_in_the_colour_of_their_reason() -> None:
    plan = drawn()
    found = by_namespace(plan_markers(plan, "link_base", STAMP, 1.0).markers)
    (hand,) = found["hand"]
    assert (hand.type, hand.color.a, color(hand)) == (Marker.TRIANGLE_LIST, 1.0, HAND)
    points = np.array([[p.x, p.y, p.z] for p in hand.points])
    np.testing.assert_allclose(points, plan.target_hand_triangles.reshape(-1, 3))
    ghosts = {marker.id: marker for marker in found["ghosts"]}
    assert set(ghosts) == {0, 2, 3}  # not the chosen one
    assert [color(ghosts[index]) for index in (0, 2, 3)] == [
        KINDS["collision"], KINDS["untried"], KINDS["out of reach"]
    ]  # fmt: skip
    assert ghosts[0].color.a < ghosts[3].color.a < ghosts[2].color.a < 1.0  # by confidence
    assert all(len(ghost.points) == 10 for ghost in ghosts.values())


def test_approach_arrow_ends_in_the_palm_and_words_say_task_and_reasons() -> None:
    found = by_namespace(plan_markers(drawn(), "link_base", STAMP, 1.0).markers)
    (arrow,) = found["approach"]
    start, end = ([p.x, p.y, p.z] for p in arrow.points)
    np.testing.assert_allclose(end, [0.4, 0.1, 0.2])
    np.testing.assert_allclose(np.subtract(end, start), [0.0, 0.0, -0.08])
    assert "drink from the mug" in found["task"][0].text
    words = {marker.id: marker.text for marker in found["reasons"]}
    assert words[0] == "1: 0.10 rejected, collision: hand and table are 2 mm apart"
    assert words[1] == "2: 0.20 ok"
    assert len(found["arm"][0].points) == 14  # 8 links, 7 lines


def test_a_long_text_is_cut_and_a_plan_without_arm_or_object_is_drawn() -> None:
    plan = drawn(text="x" * 1000, arm_points=None, object_points=np.zeros((0, 3)))
    found = by_namespace(plan_markers(plan, "link_base", STAMP, 1.0).markers)
    assert "arm" not in found
    assert len(found["task"][0].text) == WORDS_SHOWN


def test_grasp_poses_are_those_that_passed_and_state_is_coloured_by_level() -> None:
    assert len(grasp_poses(drawn(), "link_base", STAMP).poses) == 1
    clear, words = state_markers("no cloud", "error", "link_base", STAMP, 3.0).markers
    assert clear.action == Marker.DELETEALL
    assert (words.text, color(words), words.lifetime.sec) == ("no cloud", KINDS["grasp"], 3)
