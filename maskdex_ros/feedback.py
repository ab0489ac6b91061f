"""The node's publishers that show and tell: report, stage, markers, clouds, poses, diagnostics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from maskdex_ros import diagnostics, markers
from maskdex_ros.conversions import json_text, points_message
from maskdex_ros.qos import profile

if TYPE_CHECKING:
    from rclpy.lifecycle import LifecycleNode

STATE_LIFETIME = 3.0  # [s]; the words vanish with the node, which repeats them every second


class Feedback:
    """Publishers of everything that moves nothing.

    Report, stage and diagnostics speak in every lifecycle state, because "inactive" and "could
    not load" are answers too; the rest is managed and speaks only while active.
    """

    def __init__(self, node: LifecycleNode) -> None:
        """Create the publishers that speak in every state."""
        from diagnostic_msgs.msg import DiagnosticArray
        from std_msgs.msg import String
        from visualization_msgs.msg import MarkerArray

        self._node = node
        self.showing = False
        self._managed: dict[str, Any] = {}
        self._report = node.create_publisher(String, "~/report", profile(latched=True))
        self._stage = node.create_publisher(String, "~/stage", profile(depth=10))
        self._state = node.create_publisher(MarkerArray, "~/state_markers", profile(latched=True))
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", profile())

    def configure(self) -> None:
        """Create the managed publishers."""
        from geometry_msgs.msg import PoseArray
        from sensor_msgs.msg import PointCloud2
        from visualization_msgs.msg import MarkerArray

        types = {"markers": MarkerArray, "object_points": PointCloud2, "grasp_poses": PoseArray}
        for topic, kind in types.items():
            publisher = self._node.create_lifecycle_publisher(kind, f"~/{topic}", profile(latched=True))
            self._managed[topic] = publisher

    def cleanup(self) -> None:
        """Remove the managed publishers."""
        for publisher in self._managed.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self._managed.clear()

    def report(self, report: dict[str, Any]) -> None:
        """Publish a report as JSON."""
        from std_msgs.msg import String

        self._report.publish(String(data=json_text(report)))

    def stage(self, name: str) -> None:
        """Publish the name of the stage that begins."""
        from std_msgs.msg import String

        self._stage.publish(String(data=name))

    def state(self, words: str, level: str, frame: str) -> None:
        """Publish the words that stand above the robot; level is ok, warn or error."""
        self._state.publish(markers.state_markers(words, level, frame, self._now(), STATE_LIFETIME))

    def diagnostics(self, health: diagnostics.Health, frame: str) -> None:
        """Publish the state of the node, in words also for RViz."""
        level, words = diagnostics.summary(health)
        self.state(words, level, frame)
        name = self._node.get_fully_qualified_name()
        self._diagnostics.publish(diagnostics.diagnostic_array(health, name, self._now()))

    def show(self, plan: Any, frame: str, lifetime: float) -> None:
        """Publish markers, object points and grasp poses of a plan; the markers vanish after `lifetime` (s)."""
        now, publishers = self._now(), self._managed
        publishers["markers"].publish(markers.plan_markers(plan, frame, now, lifetime))
        publishers["grasp_poses"].publish(markers.grasp_poses(plan, frame, now))
        publishers["object_points"].publish(points_message(plan.object_points, frame, now, touch=plan.touch))
        self.showing = True

    def clear(self, frame: str) -> None:
        """Take away what `show` has put there: that plan is no longer a plan."""
        from geometry_msgs.msg import PoseArray
        from std_msgs.msg import Header

        if not self.showing:
            return
        now, publishers = self._now(), self._managed
        publishers["markers"].publish(markers.remove_all())
        publishers["grasp_poses"].publish(PoseArray(header=Header(frame_id=frame, stamp=now)))
        publishers["object_points"].publish(points_message(np.zeros((0, 3)), frame, now))
        self.showing = False

    def _now(self) -> Any:
        return self._node.get_clock().now().to_msg()
