"""Publishes a plan on the controllers' `joint_trajectory` topics.

A topic gives no answer: the motion counts as running for as long as the plan says, and stops by another
trajectory that brakes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from maskdex_core.errors import RobotError
from maskdex_ros.outputs.controller_message import controller_message
from maskdex_ros.outputs.output import CANCELLED, Events
from maskdex_ros.qos import profile

if TYPE_CHECKING:
    from rclpy.lifecycle import LifecycleNode


class JointTrajectoryOutput:
    """The two lifecycle publishers of arm and hand."""

    def __init__(self, node: LifecycleNode, arm_controller: str, hand_controller: str) -> None:
        """Create the publishers of `<controller>/joint_trajectory`; they are silent until the node is active."""
        from trajectory_msgs.msg import JointTrajectory

        self._node = node
        self._arm, self._hand = (
            node.create_lifecycle_publisher(JointTrajectory, f"{controller}/joint_trajectory", profile())
            for controller in (arm_controller, hand_controller)
        )
        self._end_timer: Any = None
        self._events: Events | None = None
        self._reason = ""

    def show(self, plan: Any) -> None:
        """Show nothing: controllers only move."""

    def start(self, trajectory: Any, events: Events) -> None:
        """Publish a `RobotTrajectory`: both messages are built and checked before either leaves.

        Raises:
            RobotError: when either would not be accepted, or nobody listens; nothing is published then.
        """
        for publisher in (self._arm, self._hand):
            if publisher.get_subscription_count() == 0:
                raise RobotError(
                    f"nobody listens on {publisher.topic_name}; is the controller running, and is its name right?"
                )
        self._publish(trajectory)
        self._events, self._reason = events, ""
        self._end_after(trajectory.duration)
        events.accepted()

    def stop(self, braking: Callable[[], Any]) -> None:
        """Publish the way to rest, which replaces what the controllers still have to run."""
        to_rest = braking()
        self._publish(to_rest)
        self._reason = CANCELLED
        self._end_after(to_rest.duration)

    def destroy(self) -> None:
        """Remove both publishers from the node."""
        self._forget_timer()
        self._node.destroy_lifecycle_publisher(self._arm)
        self._node.destroy_lifecycle_publisher(self._hand)

    def _publish(self, trajectory: Any) -> None:
        arm, hand = controller_message(trajectory.arm), controller_message(trajectory.hand)
        self._hand.publish(hand)
        self._arm.publish(arm)

    def _end_after(self, seconds: float) -> None:
        self._forget_timer()
        self._end_timer = self._node.create_timer(seconds, self._end)

    def _end(self) -> None:
        self._forget_timer()
        events, self._events = self._events, None
        if events is not None:
            events.ended(self._reason)

    def _forget_timer(self) -> None:
        if self._end_timer is not None:
            self._node.destroy_timer(self._end_timer)
            self._end_timer = None
