"""Runs a plan through MoveIt: its own way to the object, and from there ours.

MoveIt knows the object and the table, plans and runs the transit (hand, then arm) by MoveGroup, and runs our
approach, close and lift as they are by ExecuteTrajectory. Once the hand has closed, the object belongs to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from maskdex_core.errors import RobotError
from maskdex_core.motion.types import LIFT, PHASES, TRANSIT, JointTrajectory, RobotTrajectory
from maskdex_ros.execution import positions_by_name
from maskdex_ros.outputs import moveit_goals, moveit_scene
from maskdex_ros.outputs.action_goal import ActionGoal, require_server
from maskdex_ros.outputs.output import Events, Task
from maskdex_ros.outputs.sequence import InTurn, Step
from maskdex_ros.qos import profile
from maskdex_ros.ros_packages import required

if TYPE_CHECKING:
    from rclpy.lifecycle import LifecycleNode

    from maskdex_core.planning.robot import RobotNames
    from maskdex_ros.parameters import NodeParameters

MOVE, EXECUTE = "move_action", "execute_trajectory"  # actions of move_group


class MoveItOutput:
    """Clients of move_group's two actions, and publishers of what it should know and show."""

    def __init__(self, node: LifecycleNode, planner: Any, parameters: NodeParameters) -> None:
        """Create clients and publishers.

        Args:
            node: gets them. planner: knows the robot's names. parameters: read at configure.

        Raises:
            ConfigError: when moveit_msgs is not installed.
        """
        actions = required("moveit_msgs.action", "output 'moveit'")
        messages = required("moveit_msgs.msg", "output 'moveit'")
        from rclpy.action import ActionClient

        self._node = node
        self._names: RobotNames = planner.robot_names
        self._hand_group = parameters.moveit_hand_group
        self._move = ActionClient(node, actions.MoveGroup, MOVE)
        self._execute = ActionClient(node, actions.ExecuteTrajectory, EXECUTE)
        latched = profile(latched=True)
        self._display = node.create_lifecycle_publisher(messages.DisplayTrajectory, "display_planned_path", latched)
        self._scene = node.create_lifecycle_publisher(messages.PlanningScene, "planning_scene", profile(10))
        self._change: Any = None
        self._held = False
        self._running: InTurn | None = None

    def show(self, plan: Any) -> None:
        """Put object and table into the planning scene, and the motion on `display_planned_path`."""
        if plan.scene is None or plan.scene.extrinsics_assumed:
            self._change = None
            return  # where these points are in the robot's base is not known
        tip = self._names.tip_frame if self._held else ""
        self._scene.publish(moveit_scene.scene_of(plan, self._names.base_frame, held_by=tip))
        self._held = False
        self._change = moveit_scene.scene_of(plan, self._names.base_frame)
        if plan.trajectory is not None:
            self._display.publish(moveit_goals.shown(plan.trajectory, positions_by_name(plan.start)))

    def start(self, trajectory: RobotTrajectory, events: Events) -> None:
        """Begin with the hand's part of the transit; all further steps follow by themselves.

        Raises:
            RobotError: when move_group is not there, or the plan's phases or scene are not known.
        """
        missing = [name for name in PHASES if name not in trajectory.phases]
        if missing:
            raise RobotError(f"MoveIt runs plans phase by phase; this one has no {', '.join(missing)}")
        if self._change is None:
            raise RobotError("MoveIt was not shown this plan's object and table")
        require_server(self._move, MOVE)
        require_server(self._execute, EXECUTE)
        self._running = InTurn(self._steps(trajectory))
        self._running.start(events)

    def stop(self, braking: Callable[[], Any]) -> None:
        """Cancel the running goal; MoveIt stops the controllers."""
        if self._running is not None:
            self._running.cancel()

    def destroy(self) -> None:
        """Remove clients and publishers from the node."""
        if self._running is not None:
            self._running.forget()
        for client in (self._move, self._execute):
            client.destroy()
        for publisher in (self._display, self._scene):
            self._node.destroy_lifecycle_publisher(publisher)

    def _steps(self, trajectory: RobotTrajectory) -> list[Step]:
        end = trajectory.phases[TRANSIT][1]
        arm, hand = (_at(part, end) for part in (trajectory.arm, trajectory.hand))
        steps = [
            Step("opening the hand", lambda: self._way(self._hand_group, hand)),
            Step(TRANSIT, lambda: self._way(self._names.arm_group, arm)),
        ]
        for name in trajectory.phases:
            moving = None if name == TRANSIT else moveit_goals.phase(trajectory, name)
            if moving is not None:
                steps.append(Step(name, lambda name=name, moving=moving: self._phase(name, *moving)))
        return steps

    def _way(self, group: str, positions: dict[str, float]) -> Task:
        speed_scale = self._node.get_parameter("speed_scale").value
        goal = moveit_goals.way_to(group, positions, speed_scale, self._change)
        return self._goal(self._move, MOVE, goal)

    def _phase(self, name: str, part: JointTrajectory, start: np.ndarray) -> Task:
        if name == LIFT:
            self._scene.publish(moveit_scene.attach(self._names.tip_frame, self._names.hand_links))
            self._held = True
        return self._goal(self._execute, EXECUTE, moveit_goals.run(part, start))

    def _goal(self, client: Any, name: str, goal: Any) -> ActionGoal:
        return ActionGoal(self._node, client, name, goal, moveit_goals.failure_of, lambda told: told.state.lower())


def _at(part: JointTrajectory, time: float) -> dict[str, float]:
    row = int(np.abs(part.times - time).argmin())
    return dict(zip(part.joint_names, part.positions[row].tolist(), strict=True))
