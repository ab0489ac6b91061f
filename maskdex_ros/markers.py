"""What RViz shows: every candidate's palm with its verdict, and the chosen hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maskdex_ros.conversions import pose_message

if TYPE_CHECKING:
    from geometry_msgs.msg import PoseArray
    from visualization_msgs.msg import Marker, MarkerArray

ACCEPTED = (0.1, 0.7, 0.2, 0.9)
REJECTED = (0.85, 0.15, 0.1, 0.5)
UNTRIED = (0.5, 0.5, 0.5, 0.3)
COLORS = {"ok": ACCEPTED, "rejected": REJECTED}
HAND = (0.2, 0.4, 0.9, 0.9)
ARROW_LENGTH = 0.08  # [m]
TEXT_HEIGHT = 0.012  # [m]


def plan_markers(candidates: Sequence[Any], hand_points: Mapping[str, Any], frame: str, stamp: Any) -> MarkerArray:
    """Return the markers of one plan; the first of them removes those of the plan before.

    Args:
        candidates: with `palm_pose` (4, 4) base_from_palm, `confidence`, `verdict`, `reason`.
        hand_points: link name -> point (3,) or points (n, 3), metres, base frame.
        frame: the base frame.
        stamp: builtin_interfaces/Time.
    """
    from visualization_msgs.msg import Marker, MarkerArray

    markers = [_marker("", 0, frame, stamp, Marker.ARROW, action=Marker.DELETEALL)]
    for index, candidate in enumerate(candidates):
        markers.append(_palm_arrow(candidate, index, frame, stamp))
        markers.append(_palm_text(candidate, index, frame, stamp))
    points = [np.asarray(value, dtype=np.float64).reshape(-1, 3) for value in hand_points.values()]
    if points:
        markers.append(_hand_spheres(np.concatenate(points), frame, stamp))
    return MarkerArray(markers=markers)


def grasp_poses(candidates: Sequence[Any], frame: str, stamp: Any) -> PoseArray:
    """Return the palm poses of the candidates that passed, best first."""
    from geometry_msgs.msg import PoseArray
    from std_msgs.msg import Header

    poses = [pose_message(candidate.palm_pose) for candidate in candidates if candidate.verdict == "ok"]
    return PoseArray(header=Header(frame_id=frame, stamp=stamp), poses=poses)


def _palm_arrow(candidate: Any, index: int, frame: str, stamp: Any) -> Marker:
    from geometry_msgs.msg import Vector3
    from visualization_msgs.msg import Marker

    marker = _marker("palms", index, frame, stamp, Marker.ARROW)
    # An arrow points along its own +x; the palm's fingers point along +z.
    turn = np.eye(4)
    turn[:3, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]
    marker.pose = pose_message(np.asarray(candidate.palm_pose, dtype=np.float64) @ np.linalg.inv(turn))
    marker.scale = Vector3(x=ARROW_LENGTH, y=0.008, z=0.008)
    marker.color = _color(COLORS.get(candidate.verdict, UNTRIED))
    return marker


def _palm_text(candidate: Any, index: int, frame: str, stamp: Any) -> Marker:
    from geometry_msgs.msg import Vector3
    from visualization_msgs.msg import Marker

    marker = _marker("verdicts", index, frame, stamp, Marker.TEXT_VIEW_FACING)
    marker.pose = pose_message(candidate.palm_pose)
    marker.scale = Vector3(z=TEXT_HEIGHT)
    marker.color = _color(COLORS.get(candidate.verdict, UNTRIED))
    marker.text = f"{index + 1}: {float(candidate.confidence):.2f}"
    if candidate.verdict != "ok":
        marker.text += f" {candidate.verdict}: {candidate.reason}".rstrip(": ")
    return marker


def _hand_spheres(points: NDArray[np.float64], frame: str, stamp: Any) -> Marker:
    from geometry_msgs.msg import Point, Vector3
    from visualization_msgs.msg import Marker

    marker = _marker("hand", 0, frame, stamp, Marker.SPHERE_LIST)
    marker.scale = Vector3(x=0.006, y=0.006, z=0.006)
    marker.color = _color(HAND)
    marker.points = [Point(x=x, y=y, z=z) for x, y, z in points.tolist()]
    return marker


def _marker(namespace: str, number: int, frame: str, stamp: Any, kind: int, action: int = 0) -> Marker:
    from std_msgs.msg import Header
    from visualization_msgs.msg import Marker

    header = Header(frame_id=frame, stamp=stamp)
    marker = Marker(header=header, ns=namespace, id=number, type=kind, action=action)
    marker.pose.orientation.w = 1.0
    return marker


def _color(rgba: tuple[float, float, float, float]) -> Any:
    from std_msgs.msg import ColorRGBA

    red, green, blue, alpha = rgba
    return ColorRGBA(r=red, g=green, b=blue, a=alpha)
