"""What RViz shows of a plan: the chosen hand, the other candidates as ghosts, the way in, and words.

Every marker lives only as long as its plan may be executed, and each array first removes the one before.
Namespaces: `hand`, `approach`, `arm`, `ghosts`, `reasons`, `task`; the node's state is a marker of its own topic.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maskdex_core.viewer.palette import APPROACH, HAND, KINDS, OBJECT, ROBOT, Color, kind_of, opacity
from maskdex_ros.conversions import duration_message, pose_message

if TYPE_CHECKING:
    from geometry_msgs.msg import PoseArray
    from visualization_msgs.msg import Marker, MarkerArray

WAY_IN = 0.08  # [m] length of the approach arrow
LETTERS, SMALL_LETTERS = 0.025, 0.012  # [m]
ABOVE_OBJECT, ABOVE_BASE = 0.12, 0.9  # [m]
BONE, ARM_BONE = 0.004, 0.03  # [m] thickness
WORDS_SHOWN = 90  # characters of a text in the scene


class MarkerMaker:
    """Makes markers of one frame, one time and one lifetime."""

    def __init__(self, frame: str, stamp: Any, lifetime: float) -> None:
        """Take the frame, a builtin_interfaces/Time and the lifetime in s (0: until removed)."""
        from std_msgs.msg import Header

        self._header = Header(frame_id=frame, stamp=stamp)
        self._lifetime = duration_message(lifetime)

    def make(self, namespace: str, number: int, kind: int, color: Color = OBJECT, alpha: float = 1.0) -> Marker:
        """Return a marker at the frame's origin."""
        from std_msgs.msg import ColorRGBA
        from visualization_msgs.msg import Marker

        red, green, blue = color
        marker = Marker(header=self._header, ns=namespace, id=number, type=kind, lifetime=self._lifetime)
        marker.color = ColorRGBA(r=red, g=green, b=blue, a=alpha)
        marker.pose.orientation.w = 1.0
        return marker

    def text(self, namespace: str, number: int, words: str, place: Any, height: float, color: Color) -> Marker:
        """Return words that face the camera at a place (3,)."""
        from visualization_msgs.msg import Marker

        marker = self.make(namespace, number, Marker.TEXT_VIEW_FACING, color)
        marker.text = words if len(words) <= WORDS_SHOWN else words[: WORDS_SHOWN - 1] + "…"
        marker.scale.z = height
        marker.pose.position.x, marker.pose.position.y, marker.pose.position.z = (float(value) for value in place)
        return marker

    def lines(self, namespace: str, number: int, ends: Any, width: float, color: Color, alpha: float) -> Marker:
        """Return line segments between the ends (S, 2, 3)."""
        from visualization_msgs.msg import Marker

        marker = self.make(namespace, number, Marker.LINE_LIST, color, alpha)
        marker.scale.x = width
        marker.points = _points(ends)
        return marker


def remove_all() -> MarkerArray:
    """Return the array that empties the display."""
    from visualization_msgs.msg import Marker, MarkerArray

    return MarkerArray(markers=[Marker(action=Marker.DELETEALL)])


def plan_markers(plan: Any, frame: str, stamp: Any, lifetime: float) -> MarkerArray:
    """Return the markers of one plan; the first of them removes those of the plan before.

    Args:
        plan: a `maskdex_core.planner.Plan`.
        frame: the base frame. stamp: builtin_interfaces/Time. lifetime: s.
    """
    array, maker = remove_all(), MarkerMaker(frame, stamp, lifetime)
    array.markers.extend(_chosen(plan, maker))
    for index, candidate in enumerate(plan.candidates):
        array.markers.extend(_candidate(plan, index, candidate, maker))
    seen = plan.object_points if len(plan.object_points) else np.zeros((1, 3))
    words = f"“{plan.text}”: {plan.status}" + (f", {plan.reason}" if plan.reason else "")
    place = (*seen.mean(axis=0)[:2], seen[:, 2].max() + ABOVE_OBJECT)
    array.markers.append(maker.text("task", 0, words, place, LETTERS, KINDS["ok" if plan.status == "ok" else "grasp"]))
    return array


def state_markers(words: str, level: str, frame: str, stamp: Any, lifetime: float) -> MarkerArray:
    """Return the words above the robot that say what the node does; level is ok, warn or error."""
    color = {"ok": KINDS["ok"], "warn": KINDS["collision"], "error": KINDS["grasp"]}[level]
    array = remove_all()
    maker = MarkerMaker(frame, stamp, lifetime)
    array.markers.append(maker.text("state", 0, words, (0.0, 0.0, ABOVE_BASE), LETTERS, color))
    return array


def grasp_poses(plan: Any, frame: str, stamp: Any) -> PoseArray:
    """Return the palm poses of the candidates that passed, best first."""
    from geometry_msgs.msg import PoseArray
    from std_msgs.msg import Header

    poses = [pose_message(candidate.palm_pose) for candidate in plan.candidates if candidate.verdict == "ok"]
    return PoseArray(header=Header(frame_id=frame, stamp=stamp), poses=poses)


def _chosen(plan: Any, maker: MarkerMaker) -> Iterator[Marker]:
    """The hand at the grasp as a solid, the arrow of its way in, and the arm as lines."""
    from visualization_msgs.msg import Marker

    candidate = plan.candidates[plan.chosen]
    solid = maker.make("hand", 0, Marker.TRIANGLE_LIST, HAND)
    solid.scale.x = solid.scale.y = solid.scale.z = 1.0
    solid.points = _points(plan.target_hand_triangles)
    yield solid
    arrow = maker.make("approach", 0, Marker.ARROW, APPROACH)
    palm = np.asarray(candidate.palm_pose, np.float64)[:3, 3]
    arrow.points = _points(np.stack((palm - WAY_IN * np.asarray(candidate.approach), palm)))
    arrow.scale.x, arrow.scale.y, arrow.scale.z = 0.008, 0.018, 0.025
    yield arrow
    if plan.arm_points is not None:
        links = np.asarray(plan.arm_points)
        yield maker.lines("arm", 0, np.stack((links[:-1], links[1:]), axis=1), ARM_BONE, ROBOT, 0.5)


def _candidate(plan: Any, index: int, candidate: Any, maker: MarkerMaker) -> Iterator[Marker]:
    """A ghost of the hand in the colour of its verdict, fainter the less confident, with the reason."""
    best = max(other.confidence for other in plan.candidates)
    kind, alpha = kind_of(candidate.verdict, candidate.reason), opacity(candidate.confidence, best)
    if index != plan.chosen:
        yield maker.lines("ghosts", index, plan.candidate_bones[index], BONE, KINDS[kind], alpha)
    words = f"{index + 1}: {candidate.confidence:.2f} {candidate.verdict}"
    if candidate.reason:
        words += f", {candidate.reason}"
    yield maker.text("reasons", index, words, candidate.palm_pose[:3, 3], SMALL_LETTERS, KINDS[kind])


def _points(values: Any) -> list[Any]:
    from geometry_msgs.msg import Point

    rows: NDArray[np.float64] = np.asarray(values, np.float64).reshape(-1, 3)
    return [Point(x=x, y=y, z=z) for x, y, z in rows.tolist()]
