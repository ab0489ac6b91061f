"""Ways out of the node: one module a way, chosen by the parameter `output`.

`joint_trajectory` publishes on the controllers' topics. `follow_joint_trajectory` and `moveit` talk to action
servers; their message packages exist only in a ROS distribution, so they are imported when they are chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maskdex_core.errors import ConfigError, unknown_choice

if TYPE_CHECKING:
    from rclpy.lifecycle import LifecycleNode

    from maskdex_ros.outputs.output import Output
    from maskdex_ros.parameters import NodeParameters

OUTPUTS = ("joint_trajectory", "follow_joint_trajectory", "moveit")


def make_output(node: LifecycleNode, planner: Any, parameters: NodeParameters) -> Output:
    """Return the output that the parameters ask for.

    Args:
        node: gets its publishers and clients.
        planner: knows the robot. parameters: read at configure.

    Raises:
        ConfigError: when the output is unknown, or its message package is not installed.
    """
    if parameters.output == "joint_trajectory":
        from maskdex_ros.outputs.joint_trajectory import JointTrajectoryOutput

        return JointTrajectoryOutput(node, parameters.arm_controller, parameters.hand_controller)
    if parameters.output == "follow_joint_trajectory":
        from maskdex_ros.outputs.follow_joint_trajectory import FollowJointTrajectoryOutput

        return FollowJointTrajectoryOutput(node, parameters.arm_controller, parameters.hand_controller)
    if parameters.output == "moveit":
        from maskdex_ros.outputs.moveit import MoveItOutput

        return MoveItOutput(node, planner, parameters)
    raise ConfigError(unknown_choice("output", parameters.output, OUTPUTS))
