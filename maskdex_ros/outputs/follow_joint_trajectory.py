"""Runs a plan through the controllers' FollowJointTrajectory actions: an answer for every step.

Arm and hand get their goals at the same time. When either is rejected, aborted or cancelled, the other is
cancelled too: half of a grasp is no grasp.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from maskdex_ros.outputs.action_goal import ActionGoal, Together, require_server
from maskdex_ros.outputs.controller_message import controller_message
from maskdex_ros.outputs.output import Events
from maskdex_ros.ros_packages import required

if TYPE_CHECKING:
    from rclpy.lifecycle import LifecycleNode

# control_msgs/FollowJointTrajectory, result error codes.
CODES = {
    -1: "invalid goal",
    -2: "invalid joints",
    -3: "old header timestamp",
    -4: "path tolerance violated",
    -5: "goal tolerance violated",
}


class FollowJointTrajectoryOutput:
    """The two action clients of arm and hand."""

    def __init__(self, node: LifecycleNode, arm_controller: str, hand_controller: str) -> None:
        """Create the clients of `<controller>/follow_joint_trajectory`.

        Raises:
            ConfigError: when control_msgs is not installed.
        """
        self._action = required("control_msgs.action", "output 'follow_joint_trajectory'").FollowJointTrajectory
        self._tolerance = required("control_msgs.msg", "output 'follow_joint_trajectory'").JointTolerance
        from rclpy.action import ActionClient

        self._node = node
        self._clients = {
            part: (f"{controller}/follow_joint_trajectory",
                   ActionClient(node, self._action, f"{controller}/follow_joint_trajectory"))
            for part, controller in (("arm", arm_controller), ("hand", hand_controller))
        }  # fmt: skip
        self._running: Together | None = None

    def show(self, plan: Any) -> None:
        """Show nothing: controllers only move."""

    def start(self, trajectory: Any, events: Events) -> None:
        """Send both goals; both are built and checked, and both servers there, before either leaves.

        Raises:
            RobotError: when either would not be accepted or a server is missing; nothing is sent then.
        """
        goals = []
        for part, (name, client) in self._clients.items():
            goal = self._action.Goal(trajectory=controller_message(getattr(trajectory, part)))
            if part == "hand":
                goal.path_tolerance = goal.goal_tolerance = self._free(goal.trajectory.joint_names)
            require_server(client, name)
            goals.append(ActionGoal(self._node, client, name, goal, failure_of, progress_of))
        self._running = Together(goals)
        self._running.start(events)

    def _free(self, joint_names: Sequence[str]) -> list[Any]:
        """Return tolerances that let fingers stay behind their commands: the object is in their way."""
        return [self._tolerance(name=name, position=-1.0, velocity=-1.0, acceleration=-1.0) for name in joint_names]

    def stop(self, braking: Callable[[], Any]) -> None:
        """Cancel both goals; the controllers come to rest by themselves."""
        if self._running is not None:
            self._running.cancel()

    def destroy(self) -> None:
        """Remove the clients from the node."""
        if self._running is not None:
            self._running.forget()
        for _, client in self._clients.values():
            client.destroy()


def failure_of(result: Any) -> str:
    """Return why a FollowJointTrajectory result is no success, or ""."""
    if result.error_code == 0:
        return ""
    meaning = CODES.get(result.error_code, f"error code {result.error_code}")
    return f"{meaning} ({result.error_string})" if result.error_string else meaning


def progress_of(feedback: Any) -> str:
    """Return how far a controller is and how well it follows, from its feedback."""
    since = feedback.desired.time_from_start
    text = f"{since.sec + 1e-9 * since.nanosec:.1f} s"
    errors = np.abs(np.asarray(feedback.error.positions, dtype=np.float64))
    if len(errors) and len(errors) == len(feedback.joint_names):
        worst = int(errors.argmax())
        text += f", {feedback.joint_names[worst]} {errors[worst]:.3f} rad off"
    return text
