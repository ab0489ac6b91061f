"""A robot that is not there: mock hardware, MoveIt, RViz and the node, to be tried without an arm.

ros2 launch maskdex_ros demo.launch.py hand:=leap

The mock hardware follows every command at once; there is no camera and no physics. A camera, a bag
(`ros2 run maskdex_ros bag_player BAG`) or sim.launch.py brings the cloud.
"""

from pathlib import Path
from typing import Any

import yaml
from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from maskdex_ros.robot_description import robot_description

TRUTH = ["true", "false"]
# name, default, choices, description
ARGUMENTS = (
    ("hand", "freedom_v2", None, "target hand: a name in config/hands that has a folder in config/moveit"),
    (
        "output",
        "joint_trajectory",
        ["joint_trajectory", "follow_joint_trajectory", "moveit"],
        "how the node's trajectories leave; moveit needs move_group",
    ),
    ("points", "/camera/camera/depth/color/points", None, "topic of the PointCloud2"),
    ("params_file", "", None, "YAML file of the node's parameters; empty takes config/grasp_node.yaml"),
    ("move_group", "true", TRUTH, "start MoveIt's move_group"),
    ("rviz", "true", TRUTH, "open RViz with the robot"),
    ("use_sim_time", "false", TRUTH, "take the time from /clock"),
)


def generate_launch_description() -> LaunchDescription:
    """Return the arguments and everything that they start."""
    share = Path(get_package_share_directory("maskdex_ros"))
    arguments = [
        DeclareLaunchArgument(name, default_value=default, choices=choices, description=description)
        for name, default, choices, description in ARGUMENTS
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=robot_and_node, args=[share])])


def robot_and_node(context: LaunchContext, share: Path) -> list[Any]:
    """Return the processes for the hand that was asked for."""
    hand = LaunchConfiguration("hand").perform(context)
    folder = share / "config" / "moveit" / f"xarm7_{hand}"
    if not folder.is_dir():
        known = ", ".join(sorted(path.name.removeprefix("xarm7_") for path in folder.parent.glob("xarm7_*")))
        raise RuntimeError(
            f"hand {hand!r} has no MoveIt configuration; known: {known}; for a hand in config/hands "
            "`python -m maskdex_ros.reference` writes one (docs/new_hand.md)"
        )
    clock = {"use_sim_time": ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool)}
    urdf = robot_description(hand, ros2_control="mock")
    description = {"robot_description": ParameterValue(urdf, value_type=str), **clock}
    return [
        Node(package="robot_state_publisher", executable="robot_state_publisher", parameters=[description]),
        *controllers(folder, clock),
        move_group(share, folder, description),
        rviz(share, folder, description),
        grasp_node(share),
    ]


def controllers(folder: Path, clock: dict[str, Any]) -> list[Node]:
    """Return the controller manager with mock hardware, and the spawner of everything its file names."""
    path = folder / "ros2_controllers.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))["controller_manager"]["ros__parameters"]
    names = [name for name, value in settings.items() if isinstance(value, dict)]
    manager = Node(
        package="controller_manager",
        executable="ros2_control_node",
        parameters=[str(path), clock],
        remappings=[("~/robot_description", "/robot_description")],
        output="screen",
    )
    spawner = Node(package="controller_manager", executable="spawner", arguments=[*names, "--param-file", str(path)])
    return [manager, spawner]


def move_group(share: Path, folder: Path, description: dict[str, Any]) -> Node:
    """Return MoveIt's node with the generated configuration."""
    return Node(
        package="moveit_ros_move_group",
        executable="move_group",
        output="screen",
        parameters=[
            {**description, "robot_description_semantic": (folder / "robot.srdf").read_text(encoding="utf-8")},
            {"robot_description_kinematics": load(share / "config" / "moveit" / "kinematics.yaml")},
            {"robot_description_planning": load(folder / "joint_limits.yaml")},
            load(share / "config" / "moveit" / "planning.yaml"),
            load(folder / "moveit_controllers.yaml"),
            {"publish_robot_description_semantic": True},
        ],
        condition=IfCondition(LaunchConfiguration("move_group")),
    )


def rviz(share: Path, folder: Path, description: dict[str, Any]) -> Node:
    """Return RViz; its MoveIt displays need the semantic description too."""
    semantic = (folder / "robot.srdf").read_text(encoding="utf-8")
    return Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", str(share / "config" / "rviz" / "maskdex.rviz")],
        parameters=[{**description, "robot_description_semantic": semantic}],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )


def grasp_node(share: Path) -> IncludeLaunchDescription:
    """Return the node; it takes the names of the controllers from the hand's YAML."""
    passed = ("hand", "output", "points", "params_file", "use_sim_time")
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(share / "launch" / "grasp.launch.py")),
        launch_arguments={name: LaunchConfiguration(name) for name in passed}.items(),
    )


def load(path: Path) -> Any:
    """Return what a YAML file holds."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))
